//! Where memory ends: a typed error, and the program goes on.

use osnova_cpu::CpuDevice;
use osnova_tensor::{
    BinaryCrossEntropy, CrossEntropy, DType, Device, Error, Generator, LayerNorm, Op, Optimize, Result, Tensor,
};

fn refused<T: std::fmt::Debug>(result: Result<T>) {
    let error = result.unwrap_err();
    assert!(matches!(*error, Error::Device { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("out of memory") && message.contains("GiB"), "{message}");
}

#[test]
fn a_tensor_that_no_memory_holds_is_refused() -> Result<()> {
    let device = Device::cpu();
    refused(Tensor::zeros(1usize << 58, DType::F32, device));
    refused(Tensor::arange(0, 1 << 58, 1, device));
    // Views of any size cost nothing; what would make them real is refused.
    let (column, row) =
        (Tensor::ones([1 << 22, 1], DType::F32, device)?, Tensor::ones([1, 1 << 22], DType::F32, device)?);
    refused(&column + &row);
    refused(column.matmul(&row));
    let square = row.expand([1 << 22, 1 << 22])?;
    refused(square.contiguous());
    refused(square.reshape(1usize << 44));
    refused(square.to_vec::<f32>());
    let corner = square.narrow(0, 0, 1)?.narrow(1, (1 << 22) - 2, 2)?;
    assert_eq!(corner.to_vec::<f32>()?, [1.0, 1.0]);
    Ok(())
}

/// What works on a tensor of 2⁴⁰ elements that is a single one, repeated: its result is small, but not what a kernel works with.
#[test]
fn temporaries_of_huge_views_are_refused() -> Result<()> {
    let device = Device::cpu();
    let huge = |dims: [usize; 2], dtype| Tensor::ones([1, 1], dtype, device)?.expand(dims);
    for dtype in [DType::F16, DType::F32, DType::F64, DType::I64] {
        let wide = huge([2, 1 << 40], dtype)?;
        refused(wide.sort(1, false));
        refused(wide.cumsum(1));
    }
    let index = Tensor::zeros(1, DType::I64, device)?.expand([1usize << 40])?;
    let source = Tensor::ones(1, DType::F16, device)?.expand([1usize << 40])?;
    refused(Tensor::zeros(3, DType::F16, device)?.scatter_add(0, &index, &source));
    refused(Tensor::zeros(3, DType::F16, device)?.index_add(0, &index, &source));
    let logits = huge([1 << 40, 2], DType::F32)?;
    refused(Tensor::apply(&Op::CrossEntropy(CrossEntropy::default()), [logits.clone(), index]));
    refused(Tensor::apply(&Op::BinaryCrossEntropy(BinaryCrossEntropy::default()), [logits.clone(), logits]));
    Ok(())
}

/// The tests below run again in a process of their own whose memory ends soon; its size is told in KiB.
#[cfg(all(target_os = "linux", not(miri)))]
mod limited {
    use super::*;
    use std::process::Command;

    /// Runs the test `name` under a limit; true inside that process.
    fn under_a_limit(name: &str, kibibytes: usize) -> bool {
        if std::env::var_os("OSNOVA_TEST_LIMITED").is_some() {
            return true;
        }
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -v \"$1\" && exec \"$0\" --exact \"$2\" --nocapture"]);
        shell.arg(std::env::current_exe().unwrap()).args([&kibibytes.to_string(), name]);
        // Few threads: the stack of each counts.
        let output = shell.env("OSNOVA_TEST_LIMITED", "1").env("OSNOVA_NUM_THREADS", "2").output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{:?}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr));
        false
    }

    fn out_of_memory(error: &Error) -> bool {
        matches!(error, Error::Device { .. }) && error.to_string().contains("out of memory")
    }

    /// Tensors of `bytes` each until memory ends, as many as there is room for.
    fn fill(bytes: usize) -> Vec<Tensor> {
        let mut kept = Vec::with_capacity(1 << 19);
        loop {
            match Tensor::zeros(bytes / 4, DType::F32, Device::cpu()) {
                Ok(tensor) => kept.push(tensor),
                Err(error) => {
                    assert!(out_of_memory(&error), "{error}");
                    return kept;
                }
            }
        }
    }

    #[test]
    fn buffers_of_every_size_are_refused_where_memory_ends() -> Result<()> {
        if !under_a_limit("limited::buffers_of_every_size_are_refused_where_memory_ends", 400_000) {
            return Ok(());
        }
        for bytes in [200 << 20, 20 << 20, 2 << 20, 300 << 10, 20 << 10, 1 << 10] {
            let count = fill(bytes).len();
            // All of it can be had again.
            assert!(fill(bytes).len() * 4 >= count * 3, "{bytes} bytes each");
            assert_eq!(Tensor::ones(2, DType::F32, Device::cpu())?.to_vec::<f32>()?, [1.0, 1.0]);
        }
        Ok(())
    }

    #[test]
    fn operations_are_refused_where_memory_ends() -> Result<()> {
        if !under_a_limit("limited::operations_are_refused_where_memory_ends", 500_000) {
            return Ok(());
        }
        let device = Device::cpu();
        const SIDE: usize = 2048;
        // 16 MiB of f32, 8 of f16, 32 of indices.
        let x = Tensor::ones([SIDE, SIDE], DType::F32, device)?;
        let turned = x.transpose(0, 1)?;
        let halves = x.to_dtype(DType::F16)?;
        let truths = x.greater(0.5)?;
        let index = Tensor::zeros([SIDE, SIDE], DType::I64, device)?;
        let rows = Tensor::zeros(SIDE, DType::I64, device)?;
        let vector = Tensor::ones(SIDE, DType::F32, device)?;
        let (scalars, generator) = (Tensor::ones(2, DType::F32, device)?, Generator::new(0));
        // Nothing of 4 MiB or more is left.
        let _kept = fill(4 << 20);
        let composite = |op: Op, inputs: Vec<Tensor>| Tensor::apply(&op, inputs).map(drop);
        let descent = Optimize::Sgd { momentum: 0.0.into(), nesterov: false, weight_decay: 0.0.into() };
        let attempts: Vec<(&str, Result<()>)> = vec![
            ("zeros", Tensor::zeros([SIDE, SIDE], DType::F32, device).map(drop)),
            ("uniform", Tensor::uniform([SIDE, SIDE], 0.0, 1.0, DType::F32, &generator, device).map(drop)),
            ("add", (&x + &x).map(drop)),
            ("exp", x.exp().map(drop)),
            ("to_vec", x.to_vec::<f32>().map(drop)),
            ("to_vec of a view", turned.to_vec::<f32>().map(drop)),
            ("to_vec of truths", truths.to_vec::<bool>().map(drop)),
            ("contiguous", turned.contiguous().map(drop)),
            ("reshape", turned.reshape(SIDE * SIDE).map(drop)),
            ("cast", halves.to_dtype(DType::F32).map(drop)),
            ("cast of a view", turned.to_dtype(DType::F16).map(drop)),
            ("concat", Tensor::concat(&[x.clone(), x.clone()], 0).map(drop)),
            ("where", truths.where_(&x, &turned).map(drop)),
            ("compare", x.less(&turned).map(drop)),
            ("sort", x.sort(0, false).map(drop)),
            ("cumsum", x.cumsum(0).map(drop)),
            ("gather", x.gather(0, &index).map(drop)),
            ("scatter_add", x.scatter_add(0, &index, &x).map(drop)),
            ("index_select", x.index_select(0, &rows).map(drop)),
            ("index_add", x.index_add(0, &rows, &x).map(drop)),
            ("matmul", x.matmul(&turned).map(drop)),
            ("matmul of halves", halves.matmul(&halves).map(drop)),
            ("softmax", x.softmax(1).map(drop)),
            ("log_softmax", x.log_softmax(0).map(drop)),
            (
                "layer_norm",
                composite(Op::LayerNorm(LayerNorm { axes: 1, epsilon: 1e-5.into(), affine: false }), vec![x.clone()]),
            ),
            (
                "cross_entropy of a view",
                composite(Op::CrossEntropy(CrossEntropy::default()), vec![turned.clone(), rows]),
            ),
            (
                "binary_cross_entropy",
                composite(Op::BinaryCrossEntropy(BinaryCrossEntropy::default()), vec![x.clone(), x.clone()]),
            ),
            ("optimize", composite(Op::Optimize(descent), vec![scalars, x.clone(), x.clone()])),
        ];
        for (name, attempt) in attempts {
            let error = attempt.expect_err(name);
            assert!(out_of_memory(&error), "{name}: {error}");
            assert!(error.to_string().len() < 300, "{error}");
        }
        // What needs little is computed all the same.
        assert_eq!(x.sum(.., false)?.item()?, (SIDE * SIDE) as f64);
        assert_eq!(turned.sum(0, false)?.to_vec::<f32>()?[5], SIDE as f32);
        assert_eq!(turned.max(.., false)?.item()?, 1.0);
        assert_eq!(x.matmul(&vector)?.to_vec::<f32>()?[7], SIDE as f32);
        Ok(())
    }

    #[test]
    fn what_the_lists_keep_is_given_back_before_anything_is_refused() -> Result<()> {
        if !under_a_limit("limited::what_the_lists_keep_is_given_back_before_anything_is_refused", 500_000) {
            return Ok(());
        }
        // Half of the memory is kept for later in five blocks, and asked for in one, on the host too.
        for _ in 0..3 {
            drop((0..5).map(|_| Tensor::zeros(10 << 20, DType::F32, Device::cpu())).collect::<Result<Vec<_>>>()?);
            let large = Tensor::ones(50 << 20, DType::F32, Device::cpu())?;
            assert_eq!(large.narrow(0, 5, 1)?.item()?, 1.0);
            drop(large);
            drop((0..5).map(|_| Tensor::zeros(10 << 20, DType::F32, Device::cpu())).collect::<Result<Vec<_>>>()?);
            let view = Tensor::ones(1, DType::F32, Device::cpu())?.expand([40usize << 20])?;
            assert_eq!(view.to_vec::<f32>()?.len(), 40 << 20);
        }
        Ok(())
    }
}
