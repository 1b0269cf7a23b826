//! Operations without their attributes.

use crate::Op;

macro_rules! kinds {
    ($($kind:ident,)*) => {
        /// Which operation, without its attributes: one kind for each variant of [`Op`].
        ///
        /// Unlike [`Op`] it may be matched without a wildcard, in any crate: what must know every operation, such as the
        /// catalogue of `osnova-conformance`, stops compiling when one is added.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[expect(missing_docs, reason = "each is the variant of Op of its name")]
        pub enum OpKind {
            $($kind,)*
        }

        impl OpKind {
            /// Every kind of operation, in the order of [`Op`].
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];
        }

        impl Op {
            /// Which operation this is, without its attributes.
            pub fn kind(&self) -> OpKind {
                match self {
                    $(Self::$kind { .. } => OpKind::$kind,)*
                }
            }
        }
    };
}

kinds! {
    Full, Arange, Random,
    Reshape, Permute, Expand, Slice,
    Contiguous, Pad, Concat,
    Unary, Binary, Compare, Clamp, Where, Cast,
    Reduce, ArgReduce, CumulativeSum,
    Matmul,
    Gather, ScatterAdd, IndexSelect, IndexAdd, Sort,
    Mean, Variance, LogSumExp, Softmax, LogSoftmax, Activate, ActivationGradient, Linear,
    CrossEntropy, BinaryCrossEntropy, LayerNorm, Optimize,
    Custom,
}
