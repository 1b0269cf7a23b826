//! Walking over what a module is made of: parameters, buffers, random generators, modes.

use crate::{Buffer, Mode, Module, Param};
use osnova_tensor::{Activation, DType, Device, Generator, ReductionKind, Shape};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// One step of a dotted name: a field, or a place in a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Segment<'a> {
    /// A field, or a key.
    Name(&'a str),
    /// A place in a list.
    Index(usize),
}

impl fmt::Display for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Index(index) => write!(f, "{index}"),
        }
    }
}

/// What can be a field of a module: a parameter, a buffer, a generator, a mode, another module, a list, option or box of
/// them, or plain data (numbers, strings, …), which holds nothing to visit.
///
/// `#[derive(Module)]` writes it. The order of a visit is the order of the fields, and the same for both methods.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of a module",
    label = "neither a parameter, a module nor plain data",
    note = "derive `Module` for `{Self}`, or put `#[module(skip)]` on the field if it holds nothing to train or save"
)]
pub trait Visit {
    /// Shows everything inside to `visitor`.
    fn visit<'a>(&'a self, visitor: &mut dyn Visitor<'a>);

    /// Shows everything inside to `visitor`, to be changed.
    fn visit_mut<'a>(&'a mut self, visitor: &mut dyn VisitorMut<'a>);
}

/// What looks at the inside of a module. Every method does nothing unless it is written.
pub trait Visitor<'a> {
    /// A field or an element of a list comes next, under this name.
    fn enter(&mut self, segment: Segment<'_>) {
        let _ = segment;
    }
    /// It is over.
    fn leave(&mut self) {}
    /// A module begins; what follows up to its [`end`](Self::end) is inside.
    fn begin(&mut self, module: &'a dyn Module) {
        let _ = module;
    }
    /// The innermost module ends.
    fn end(&mut self) {}
    /// A parameter.
    fn parameter(&mut self, parameter: &'a Param) {
        let _ = parameter;
    }
    /// State that is not trained.
    fn buffer(&mut self, buffer: &'a Buffer) {
        let _ = buffer;
    }
    /// A source of random numbers.
    fn generator(&mut self, generator: &'a Generator) {
        let _ = generator;
    }
    /// Whether a layer trains or predicts.
    fn mode(&mut self, mode: &'a Mode) {
        let _ = mode;
    }
}

/// What changes the inside of a module. Every method does nothing unless it is written.
pub trait VisitorMut<'a> {
    /// A field or an element of a list comes next, under this name.
    fn enter(&mut self, segment: Segment<'_>) {
        let _ = segment;
    }
    /// It is over.
    fn leave(&mut self) {}
    /// A parameter.
    fn parameter(&mut self, parameter: &'a mut Param) {
        let _ = parameter;
    }
    /// State that is not trained.
    fn buffer(&mut self, buffer: &'a mut Buffer) {
        let _ = buffer;
    }
    /// A source of random numbers.
    fn generator(&mut self, generator: &'a mut Generator) {
        let _ = generator;
    }
    /// Whether a layer trains or predicts.
    fn mode(&mut self, mode: &'a mut Mode) {
        let _ = mode;
    }
}

macro_rules! leaf {
    ($($kind:ty => $method:ident;)*) => {$(
        impl Visit for $kind {
            fn visit<'a>(&'a self, visitor: &mut dyn Visitor<'a>) {
                visitor.$method(self);
            }
            fn visit_mut<'a>(&'a mut self, visitor: &mut dyn VisitorMut<'a>) {
                visitor.$method(self);
            }
        }
    )*};
}

leaf! {
    Param => parameter;
    Buffer => buffer;
    Generator => generator;
    Mode => mode;
}

macro_rules! plain {
    ($($kind:ty),* $(,)?) => {$(
        impl Visit for $kind {
            fn visit<'a>(&'a self, _: &mut dyn Visitor<'a>) {}
            fn visit_mut<'a>(&'a mut self, _: &mut dyn VisitorMut<'a>) {}
        }
    )*};
}

plain!(
    bool,
    char,
    f32,
    f64,
    i8,
    i16,
    i32,
    i64,
    isize,
    u8,
    u16,
    u32,
    u64,
    usize,
    String,
    &'static str,
    (),
    Activation,
    DType,
    Device,
    ReductionKind,
    Shape
);

impl<T: ?Sized> Visit for PhantomData<T> {
    fn visit<'a>(&'a self, _: &mut dyn Visitor<'a>) {}
    fn visit_mut<'a>(&'a mut self, _: &mut dyn VisitorMut<'a>) {}
}

impl<T: Visit + ?Sized> Visit for Box<T> {
    fn visit<'a>(&'a self, visitor: &mut dyn Visitor<'a>) {
        (**self).visit(visitor);
    }
    fn visit_mut<'a>(&'a mut self, visitor: &mut dyn VisitorMut<'a>) {
        (**self).visit_mut(visitor);
    }
}

impl<T: Visit> Visit for Option<T> {
    fn visit<'a>(&'a self, visitor: &mut dyn Visitor<'a>) {
        if let Some(inside) = self {
            inside.visit(visitor);
        }
    }
    fn visit_mut<'a>(&'a mut self, visitor: &mut dyn VisitorMut<'a>) {
        if let Some(inside) = self {
            inside.visit_mut(visitor);
        }
    }
}

macro_rules! list {
    ($([$($parameters:tt)*] $kind:ty;)*) => {$(
        impl<$($parameters)*> Visit for $kind {
            fn visit<'a>(&'a self, visitor: &mut dyn Visitor<'a>) {
                for (index, element) in self.iter().enumerate() {
                    visitor.enter(Segment::Index(index));
                    element.visit(visitor);
                    visitor.leave();
                }
            }
            fn visit_mut<'a>(&'a mut self, visitor: &mut dyn VisitorMut<'a>) {
                for (index, element) in self.iter_mut().enumerate() {
                    visitor.enter(Segment::Index(index));
                    element.visit_mut(visitor);
                    visitor.leave();
                }
            }
        }
    )*};
}

list! {
    [T: Visit] Vec<T>;
    [T: Visit] [T];
    [T: Visit, const N: usize] [T; N];
}

impl<T: Visit> Visit for BTreeMap<String, T> {
    fn visit<'a>(&'a self, visitor: &mut dyn Visitor<'a>) {
        for (name, element) in self {
            visitor.enter(Segment::Name(name));
            element.visit(visitor);
            visitor.leave();
        }
    }
    fn visit_mut<'a>(&'a mut self, visitor: &mut dyn VisitorMut<'a>) {
        for (name, element) in self {
            visitor.enter(Segment::Name(name));
            element.visit_mut(visitor);
            visitor.leave();
        }
    }
}

macro_rules! tuple {
    ($($kind:ident $index:tt),*) => {
        impl<$($kind: Visit),*> Visit for ($($kind,)*) {
            fn visit<'a>(&'a self, visitor: &mut dyn Visitor<'a>) {
                $(
                    visitor.enter(Segment::Index($index));
                    self.$index.visit(visitor);
                    visitor.leave();
                )*
            }
            fn visit_mut<'a>(&'a mut self, visitor: &mut dyn VisitorMut<'a>) {
                $(
                    visitor.enter(Segment::Index($index));
                    self.$index.visit_mut(visitor);
                    visitor.leave();
                )*
            }
        }
    };
}

tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
