//! How the backend lives beside a rayon pool of the program's own. Each test needs a process in which nothing was computed
//! before, so each runs again in its own.

use osnova_cpu::CpuDevice;
use osnova_tensor::{DType, Device, Result, Tensor};

/// Runs the test `name` in a process of its own; true inside that.
fn alone(name: &str) -> bool {
    if std::env::var_os("OSNOVA_TEST_ALONE").is_some() {
        return true;
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--exact", name]).env("OSNOVA_TEST_ALONE", "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    false
}

fn compute(device: Device) -> Result<f64> {
    let x = Tensor::ones([300, 300], DType::F32, device)?;
    x.matmul(&x)?.sum(.., false)?.item()
}

#[test]
fn a_pool_that_was_built_first_keeps_its_thread() -> Result<()> {
    if alone("a_pool_that_was_built_first_keeps_its_thread") {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).use_current_thread().build().unwrap();
        assert_eq!(compute(Device::cpu())?, 27e6);
        assert_eq!((rayon::current_num_threads(), pool.current_num_threads()), (3, 3), "kernels fork in this pool");
    }
    Ok(())
}

#[test]
fn a_device_with_its_own_threads_takes_over_none() -> Result<()> {
    if alone("a_device_with_its_own_threads_takes_over_none") {
        assert_eq!(compute(Device::cpu_with_threads(2)?)?, 27e6);
        assert!(rayon::current_thread_index().is_none());
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).use_current_thread().build().unwrap();
        assert_eq!(pool.current_num_threads(), 3);
    }
    Ok(())
}
