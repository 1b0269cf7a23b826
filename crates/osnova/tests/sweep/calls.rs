//! Calls of tensors' own functions.

use osnova::prelude::*;
use osnova::tensor::random::Stream;
use osnova::tensor::{Binary, Comparison, CrossEntropy, Element, HostData, Scalar, Unary, bf16, f16};

/// What is called with an input.
pub(crate) type Run = Box<dyn Fn(&Tensor) -> Result<()>>;

/// A function by name, with arguments.
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) run: Run,
}

/// Adds calls: a name, and what is called with the input.
macro_rules! calls {
    ($list:expr; $($name:ident => |$x:ident| $body:expr;)*) => {$(
        $list.push(crate::calls::Call {
            name: stringify!($name).to_owned(),
            run: Box::new(move |$x: &osnova::tensor::Tensor| $body.map(drop)),
        });
    )*};
}
pub(crate) use calls;

pub(crate) const AXES: [isize; 9] = [-1, 0, 1, 7, -8, 8, -9, isize::MIN, isize::MAX];
pub(crate) const SIZES: [usize; 7] = [0, 1, 2, 1 << 40, 1 << 60, usize::MAX / 8, usize::MAX];

/// Elements that are read in no time.
const MODEST: usize = 1 << 22;

/// Whether something that reads all of `x` for each of `results` ends soon: there is little to read, or the results alone take
/// more memory than there is.
pub(crate) fn ends_soon(x: &Tensor, results: usize) -> bool {
    x.count() <= MODEST || results >= 1 << 33
}

/// [`ends_soon`] for a function along one axis that leaves one result of it.
pub(crate) fn along(x: &Tensor, axis: isize) -> bool {
    x.size(axis).map_or(true, |size| ends_soon(x, x.count() / size.max(1)))
}

/// Whether a product with `x` on the left ends soon: there is little to read, or one product has more results than memory holds.
pub(crate) fn product_ends_soon(x: &Tensor) -> bool {
    let many = |dims: &[usize]| matches!(*dims, [rows, inner] if rows >= 1 << 20 && inner <= 1 << 20);
    x.count() <= MODEST || many(x.dims())
}

/// Runs what [`ends_soon`].
pub(crate) fn soon<T>(soon: bool, run: impl FnOnce() -> Result<T>) -> Result<()> {
    if soon { run().map(drop) } else { Ok(()) }
}

/// Indices of zero in the shape of `x`, taking no memory.
pub(crate) fn index_like(x: &Tensor) -> Result<Tensor> {
    Tensor::zeros((), DType::I64, x.device())?.expand(x.shape())
}

fn indices(x: &Tensor, values: &[i64]) -> Result<Tensor> {
    Tensor::from_slice(values, values.len(), x.device())
}

/// What stands beside `x`: itself, others that fit and others that do not.
fn others() -> Vec<fn(&Tensor) -> Result<Tensor>> {
    vec![
        |x| Ok(x.clone()),
        |x| x.permute((0..x.rank() as isize).rev().collect::<Vec<_>>().as_slice()),
        |x| Tensor::ones((), x.dtype(), x.device()),
        |x| Tensor::ones(3, x.dtype(), x.device()),
        |x| Tensor::ones([2, 1], DType::F32, x.device()),
        |x| Tensor::zeros([0, 1], x.dtype(), x.device()),
        |x| Tensor::ones((), x.dtype(), x.device())?.expand([1usize << 40, 1]),
    ]
}

pub(crate) fn tensors(list: &mut Vec<Call>) {
    elementwise(list);
    binary(list);
    shaping(list);
    slicing(list);
    reductions(list);
    indexing(list);
    network(list);
    host(list);
}

fn elementwise(list: &mut Vec<Call>) {
    calls! { list;
        neg => |x| x.neg();
        abs => |x| x.abs();
        sign => |x| x.sign();
        exp => |x| x.exp();
        exp_m1 => |x| x.exp_m1();
        ln => |x| x.ln();
        ln_1p => |x| x.ln_1p();
        sqrt => |x| x.sqrt();
        rsqrt => |x| x.rsqrt();
        recip => |x| x.recip();
        sin => |x| x.sin();
        cos => |x| x.cos();
        tanh => |x| x.tanh();
        sigmoid => |x| x.sigmoid();
        erf => |x| x.erf();
        floor => |x| x.floor();
        ceil => |x| x.ceil();
        round => |x| x.round();
        relu => |x| x.relu();
        not => |x| x.not();
        unary => |x| x.unary(Unary::Exp);
        square => |x| x.square();
        is_nan => |x| x.is_nan();
        is_finite => |x| x.is_finite();
    }
    let bounds =
        [Scalar::from(0.0), Scalar::from(f64::NAN), Scalar::from(1e300), Scalar::Int(i64::MIN), Scalar::Int(-1)];
    for low in bounds {
        for high in bounds {
            calls! { list; clamp => |x| x.clamp(low, high); }
        }
    }
}

fn binary(list: &mut Vec<Call>) {
    for other in others() {
        calls! { list;
            add => |x| x.add(other(x)?);
            sub => |x| x.sub(other(x)?);
            mul => |x| x.mul(other(x)?);
            div => |x| x.div(other(x)?);
            pow => |x| x.pow(other(x)?);
            minimum => |x| x.minimum(other(x)?);
            maximum => |x| x.maximum(other(x)?);
            and => |x| x.and(other(x)?);
            or => |x| x.or(other(x)?);
            xor => |x| x.xor(other(x)?);
            binary => |x| x.binary(Binary::Pow, other(x)?);
            equal => |x| x.equal(other(x)?);
            not_equal => |x| x.not_equal(other(x)?);
            less => |x| x.less(other(x)?);
            less_equal => |x| x.less_equal(other(x)?);
            greater => |x| x.greater(other(x)?);
            greater_equal => |x| x.greater_equal(other(x)?);
            compare => |x| x.compare(Comparison::Less, other(x)?);
            where_ => |x| x.where_(x, other(x)?);
            where_ => |x| Tensor::ones((), DType::Bool, x.device())?.where_(x, other(x)?);
            where_ => |x| Tensor::ones((), DType::Bool, x.device())?.expand([1usize << 40])?.where_(other(x)?, 1.0);
            concat => |x| Tensor::concat(&[x.clone(), other(x)?], 0);
            stack => |x| Tensor::stack(&[x.clone(), other(x)?], 0);
            expand => |x| x.expand(other(x)?.shape());
        }
    }
    for number in [0.0, 1.5, -1.0, f64::NAN, f64::INFINITY, 1e300] {
        calls! { list;
            add => |x| x.add(number);
            div => |x| x.div(number);
            pow => |x| x.pow(number);
            less => |x| x.less(number);
        }
    }
}

fn shaping(list: &mut Vec<Call>) {
    for size in SIZES {
        calls! { list;
            reshape => |x| x.reshape([size]);
            reshape => |x| x.reshape([size, size]);
            reshape => |x| x.reshape([size as isize, -1].as_slice());
            expand => |x| x.expand([size]);
            expand => |x| x.expand([size; 8]);
            expand => |x| x.expand([1; 9].as_slice());
            pad => |x| x.pad(&vec![(size, 1); x.rank()], 0);
            pad => |x| x.pad(&vec![(size, size); x.rank()], 0.0);
            pad => |x| x.pad(&[(size, 0)], 1);
        }
    }
    for axis in AXES {
        calls! { list;
            size => |x| x.size(axis);
            flatten => |x| x.flatten(axis, -1);
            flatten => |x| x.flatten(0, axis);
            permute => |x| x.permute([axis]);
            permute => |x| x.permute([axis, axis]);
            transpose => |x| x.transpose(axis, 0);
            unsqueeze => |x| x.unsqueeze(axis);
            squeeze => |x| x.squeeze(axis);
            flip => |x| x.flip(axis);
            flip => |x| x.flip([axis, axis]);
            concat => |x| Tensor::concat(&[x.clone(), x.clone()], axis);
            stack => |x| Tensor::stack(&[x.clone(), x.clone()], axis);
        }
    }
    calls! { list;
        t => |x| x.t();
        squeeze => |x| x.squeeze(..);
        flip => |x| x.flip(..);
        contiguous => |x| x.contiguous();
        contiguous => |x| x.permute((0..x.rank() as isize).rev().collect::<Vec<_>>().as_slice())?.contiguous();
        concat => |x| Tensor::concat(&[] as &[Tensor], x.rank() as isize);
        stack => |x| Tensor::stack(&[] as &[Tensor], x.rank() as isize);
        device => |x| Ok(x.device());
        shape => |x| Ok(x.shape().count());
        dims => |x| Ok(x.dims().len());
        rank => |x| Ok(x.rank());
        count => |x| Ok(x.count());
        dtype => |x| Ok(x.dtype());
        layout => |x| Ok(x.layout().strides());
    }
}

fn slicing(list: &mut Vec<Call>) {
    for axis in AXES {
        for (start, length) in
            [(0, 0), (0, 1), (1, usize::MAX), (usize::MAX, 1), (usize::MAX, usize::MAX), (1 << 39, 5)]
        {
            calls! { list; narrow => |x| x.narrow(axis, start, length); }
        }
        for index in [0, -1, 2, isize::MIN, isize::MAX] {
            calls! { list;
                select => |x| x.select(axis, index);
                slice => |x| x.slice(axis, index.., 1);
                slice => |x| x.slice(axis, ..=index, 2);
                slice => |x| x.slice(axis, ..index, -1);
                slice => |x| x.slice(axis, .., index);
                slice => |x| x.slice(axis, index..=index, index);
            }
        }
        for size in SIZES {
            // Half a million views are made in no time once, but not a hundred times.
            let few = move |x: &Tensor| {
                let pieces = x.size(axis).map_or(0, |total| total / size.max(1));
                pieces <= 1 << 12 || pieces >= 1 << 28
            };
            calls! { list; split => |x| soon(few(x), || x.split(size, axis)); }
        }
    }
}

fn reductions(list: &mut Vec<Call>) {
    for axis in AXES {
        calls! { list;
            sum => |x| soon(along(x, axis), || x.sum(axis, false));
            sum => |x| soon(along(x, axis), || x.sum([axis, axis], true));
            prod => |x| soon(along(x, axis), || x.prod(axis, true));
            max => |x| soon(along(x, axis), || x.max(axis, false));
            min => |x| soon(along(x, axis), || x.min(axis, true));
            mean => |x| soon(along(x, axis), || x.mean(axis, false));
            var => |x| soon(along(x, axis), || x.var(axis, 1, false));
            var => |x| soon(along(x, axis), || x.var(axis, usize::MAX, true));
            logsumexp => |x| soon(along(x, axis), || x.logsumexp(axis, false));
            argmax => |x| soon(along(x, axis), || x.argmax(axis, false));
            argmin => |x| soon(along(x, axis), || x.argmin(axis, true));
            cumsum => |x| x.cumsum(axis);
            sort => |x| x.sort(axis, false);
            sort => |x| x.sort(axis, true);
        }
        for count in SIZES {
            calls! { list; topk => |x| x.topk(count, axis, count % 2 == 0); }
        }
    }
    calls! { list;
        sum => |x| soon(ends_soon(x, 1), || x.sum(.., true));
        prod => |x| soon(ends_soon(x, 1), || x.prod(.., false));
        max => |x| soon(ends_soon(x, 1), || x.max(.., false));
        min => |x| soon(ends_soon(x, 1), || x.min(.., false));
        mean => |x| soon(ends_soon(x, 1), || x.mean(.., false));
        var => |x| soon(ends_soon(x, 1), || x.var(.., 0, false));
        logsumexp => |x| soon(ends_soon(x, 1), || x.logsumexp(.., false));
        sum => |x| soon(ends_soon(x, 1), || x.sum(&[usize::MAX][..], false));
        sum => |x| soon(x.rank() == 0, || x.sum(&[] as &[isize], false));
    }
}

fn indexing(list: &mut Vec<Call>) {
    for axis in AXES {
        calls! { list;
            gather => |x| x.gather(axis, &index_like(x)?);
            gather => |x| x.gather(axis, x);
            scatter_add => |x| x.scatter_add(axis, &index_like(x)?, x);
            index_select => |x| x.index_select(axis, &index_like(x)?);
            index_select => |x| x.index_select(axis, &Tensor::zeros((), DType::I64, x.device())?.expand([1usize << 40])?);
            index_add => |x| x.index_add(axis, &indices(x, &[0])?, x);
        }
        for values in [&[] as &[i64], &[0], &[-1], &[0, 1, 0], &[i64::MAX, i64::MIN]] {
            calls! { list;
                index_select => |x| x.index_select(axis, &indices(x, values)?);
                index_add => |x| x.index_add(axis, &indices(x, values)?, &x.narrow(axis, 0, values.len())?);
                gather => |x| x.gather(axis, &indices(x, values)?.reshape(vec![1; x.rank()])?);
            }
        }
    }
    for classes in SIZES {
        calls! { list;
            one_hot => |x| x.one_hot(classes, DType::F32);
            one_hot => |x| x.one_hot(classes, DType::Bool);
            one_hot => |x| index_like(x)?.one_hot(classes, x.dtype());
        }
    }
    for offset in [0, -1, i64::MIN, i64::MAX] {
        calls! { list;
            tril => |x| x.tril(offset);
            triu => |x| x.triu(offset);
        }
    }
}

fn network(list: &mut Vec<Call>) {
    use osnova::tensor::BinaryCrossEntropy;
    for other in others() {
        calls! { list;
            matmul => |x| soon(product_ends_soon(x), || x.matmul(&other(x)?));
            linear => |x| soon(product_ends_soon(x), || x.linear(&other(x)?, None, Activation::Gelu));
            linear => |x| soon(product_ends_soon(x), || x.linear(&other(x)?, Some(&other(x)?), Activation::Relu));
            binary_cross_entropy_with_logits => |x| x.binary_cross_entropy_with_logits(&other(x)?);
            binary_cross_entropy_with => |x| x.binary_cross_entropy_with(&other(x)?, BinaryCrossEntropy::default());
            layer_norm => |x| x.layer_norm(1, Some((&other(x)?, &other(x)?)), 1e-5);
            cross_entropy => |x| x.cross_entropy(&other(x)?);
        }
    }
    for axis in AXES {
        calls! { list;
            softmax => |x| soon(along(x, axis), || x.softmax(axis));
            log_softmax => |x| soon(along(x, axis), || x.log_softmax(axis));
        }
    }
    for activation in [Activation::Identity, Activation::GeluTanh, Activation::Sigmoid] {
        calls! { list; activate => |x| x.activate(activation); }
    }
    for axes in [0, 1, 2, 9, usize::MAX] {
        for epsilon in [1e-5, 0.0, -1.0, f64::NAN] {
            calls! { list; layer_norm => |x| x.layer_norm(axes, None, epsilon); }
        }
    }
    /// A target for each row.
    fn target(x: &Tensor) -> Result<Tensor> {
        Tensor::zeros((), DType::I64, x.device())?.expand([x.dims().first().copied().unwrap_or(1)])
    }
    for smoothing in [0.0, 0.5, 2.0, f64::NAN] {
        let options =
            CrossEntropy { label_smoothing: smoothing.into(), with_gradient: true, ..CrossEntropy::default() };
        calls! { list; cross_entropy_with => |x| x.cross_entropy_with(&target(x)?, None, options); }
        calls! { list; cross_entropy_with => |x| x.cross_entropy_with(&target(x)?, Some(x), options); }
    }
    calls! { list;
        matmul => |x| soon(product_ends_soon(x), || x.matmul(&x.transpose(-1, -2)?));
        gelu => |x| x.gelu(true);
        gelu => |x| x.gelu(false);
        silu => |x| x.silu();
        cross_entropy => |x| x.cross_entropy(&target(x)?);
        tracked => |x| x.tracked();
        into_tracked => |x| x.clone().into_tracked();
        backward => |x| x.backward();
        backward_retaining => |x| x.backward_retaining();
        gradients => |x| x.gradients(Some(x.clone()), None, false);
        gradients => |x| soon(ends_soon(x, 1), || (x * x)?.sum(.., false)?.gradients(None, None, false));
        gradients => |x| soon(ends_soon(x, 1), || x.exp()?.mean(.., false)?.gradients(None, None, true));
    }
}

fn host(list: &mut Vec<Call>) {
    fn of<T: Element>(x: &Tensor) -> Result<()> {
        x.to_vec::<T>()?;
        x.to_scalar::<T>().map(drop)
    }
    for dtype in
        [DType::F32, DType::F64, DType::F16, DType::BF16, DType::I64, DType::I32, DType::U32, DType::U8, DType::Bool]
    {
        calls! { list; to_dtype => |x| x.to_dtype(dtype); }
    }
    calls! { list;
        to_host => |x| x.to_host();
        to_vec => |x| of::<f32>(x);
        to_vec => |x| of::<f64>(x);
        to_vec => |x| of::<f16>(x);
        to_vec => |x| of::<bf16>(x);
        to_vec => |x| of::<i64>(x);
        to_vec => |x| of::<i32>(x);
        to_vec => |x| of::<u32>(x);
        to_vec => |x| of::<u8>(x);
        to_vec => |x| of::<bool>(x);
        to_scalar => |x| x.to_scalar::<f32>();
        item => |x| x.item();
        to_device => |x| x.to_device(Device::cpu_with_threads(1)?);
        to_device => |x| x.to_device(Device::cpu().autodiff())?.to_device(Device::cpu());
        Display => |x| { assert!(format!("{x}").len() < 20_000); Ok(()) };
        Debug => |x| { assert!(format!("{x:?}").len() < 20_000); Ok(()) };
        Debug => |x| { assert!(format!("{x:#?}").len() < 40_000); Ok(()) };
        apply => |x| Tensor::apply(&osnova::tensor::Op::Contiguous, [x.clone()]);
        apply => |x| Tensor::apply(&osnova::tensor::Op::Contiguous, std::iter::repeat_n(x.clone(), 1000));
        apply => |x| Tensor::apply(&osnova::tensor::Op::Matmul, x.rank().eq(&9).then(|| x.clone()));
    }
}

/// Random numbers.
pub(crate) fn generators(list: &mut Vec<Call>) {
    let mut add = |name: &str, run: fn(usize) -> Result<()>| {
        for number in SIZES {
            list.push(Call { name: format!("Generator::{name}"), run: Box::new(move |_| run(number)) });
        }
    };
    fn end(number: usize) -> Generator {
        Generator::at(Stream { seed: u64::MAX, counter: number as u64 })
    }
    add("new", |number| Generator::new(number as u64).permutation(2).map(drop));
    add("at", |number| end(number).permutation(3).map(drop));
    add("permutation", |number| Generator::new(0).permutation(number).map(drop));
    add("take", |number| {
        let generator = end(number);
        generator.take(number as u64);
        generator.take(1);
        Ok(())
    });
    add("try_take", |number| end(number).try_take(number as u64, |_| Ok(())));
    add("position", |number| {
        let mut generator = end(number);
        generator.set_position(generator.position());
        generator.permutation(5).map(drop)
    });
    add("set_position", |number| {
        let mut generator = Generator::new(0);
        generator.set_position(Stream { seed: 0, counter: number as u64 });
        generator.permutation(5).map(drop)
    });
    add("fork", |number| end(number).fork(number as u64).permutation(4).map(drop));
}

/// Creators; the input gives the dtype and a shape.
pub(crate) fn creators(list: &mut Vec<Call>) {
    calls! { list;
        zeros_like => |x| x.zeros_like();
        ones_like => |x| x.ones_like();
        zeros => |x| Tensor::zeros(x.shape(), x.dtype(), x.device());
        ones => |x| Tensor::ones(x.shape(), x.dtype(), x.device());
        full => |x| Tensor::full(x.shape(), 2, x.dtype(), x.device());
        full => |x| Tensor::full(x.shape(), 1e300, x.dtype(), x.device());
        full => |x| Tensor::full(x.shape(), f64::NAN, x.dtype(), x.device());
        new => |x| Tensor::new([[1.0f32, 2.0]], x.device());
        from_vec => |x| Tensor::from_vec(vec![1.0f32; 3], x.shape(), x.device());
        from_slice => |x| Tensor::from_slice(&[1u8, 2], x.shape(), x.device());
        from_values => |x| Tensor::from_values((0..x.rank() as i64).collect::<Vec<_>>(), x.device());
        from_indices => |x| Tensor::from_indices(vec![0, 1], x.shape(), x.dtype(), x.device());
        from_indices => |x| Tensor::from_indices(vec![-1, i64::MAX], 2, x.dtype(), x.device());
        from_host => |x| Tensor::from_host(HostData::Bool(vec![true]), x.shape(), x.device());
    }
    for size in SIZES {
        calls! { list;
            zeros => |x| Tensor::zeros([size, 2], x.dtype(), x.device());
            full => |x| Tensor::full([2, size], 1, x.dtype(), x.device());
            eye => |x| Tensor::eye(size, x.dtype(), x.device());
            linspace => |x| Tensor::linspace(-1e308, 1e308, size, x.dtype(), x.device());
            linspace => |x| Tensor::linspace(f64::NAN, 0.0, size, x.dtype(), x.device());
            arange_of => |x| Tensor::arange_of(0, 1, size, x.dtype(), x.device());
            arange_of => |x| Tensor::arange_of(1e300, f64::INFINITY, size, x.dtype(), x.device());
            arange => |x| Tensor::arange(i64::MIN, size as i64, 1, x.device());
            arange => |x| Tensor::arange(0, size as i64, i64::MAX, x.device());
            arange => |x| Tensor::arange(0, size as i64, 0, x.device());
            permutation => |x| Tensor::permutation(size, &Generator::new(0), x.device());
        }
    }
    let ranges = [(0.0, 1.0), (f64::MIN, f64::MAX), (1.0, 0.0), (f64::NAN, 1.0), (0.0, f64::INFINITY), (0.0, 1e300)];
    for (first, second) in ranges {
        calls! { list;
            uniform => |x| Tensor::uniform(x.shape(), first, second, x.dtype(), &Generator::new(0), x.device());
            normal => |x| Tensor::normal(x.shape(), first, second, x.dtype(), &Generator::new(0), x.device());
            bernoulli => |x| Tensor::bernoulli(x.shape(), first, x.dtype(), &Generator::new(0), x.device());
        }
    }
}
