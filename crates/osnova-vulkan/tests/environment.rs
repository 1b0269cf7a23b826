//! What the environment decides: whether there is a loader, a driver, a device, and what it lacks.
//!
//! The loader is opened once for a program, so each test runs the part named `in_child_…` in a process of its own.

use osnova_tensor::{DType, Device, Error, Result, Tensor};
use osnova_vulkan::{VulkanDevice, statistics};
use std::process::Command;

/// Tells a child that it is one: run by hand with `--ignored`, its environment would not be what it expects.
const CHILD: &str = "OSNOVA_VULKAN_TEST_CHILD";

/// Runs a test of this file in a new process with these variables.
fn run(child: &str, variables: &[(&str, &str)]) {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    command.args([child, "--exact", "--ignored", "--nocapture", "--test-threads=1"]).env(CHILD, "1");
    command.envs(variables.iter().copied());
    let output = command.output().expect("this program runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{child} with {variables:?}:\n{text}");
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Both ways to a device give an error that contains these words.
fn assert_refused(words: &[&str]) {
    for error in
        [Device::vulkan(0).unwrap_err(), Device::available().err().unwrap_or_else(|| Device::vulkan(0).unwrap_err())]
    {
        assert!(matches!(*error, Error::Device { .. }), "{error}");
        let message = error.to_string();
        words.iter().for_each(|word| assert!(message.contains(word), "{message} lacks {word}"));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn no_loader() {
    // The first library of that name in the path is taken, and this one is none.
    let folder = std::env::temp_dir().join(format!("osnova-no-loader-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("libvulkan.so.1"), "not a library").unwrap();
    run("in_child_no_loader", &[("LD_LIBRARY_PATH", folder.to_str().unwrap())]);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
#[ignore = "run by no_loader"]
fn in_child_no_loader() {
    if is_child() {
        assert_refused(&["no Vulkan loader could be opened", "libvulkan1", "vulkan-loader"]);
    }
}

#[test]
fn no_driver() {
    let nowhere = "/nonexistent/driver.json";
    run("in_child_no_driver", &[("VK_ICD_FILENAMES", nowhere), ("VK_DRIVER_FILES", nowhere)]);
}

#[test]
#[ignore = "run by no_driver"]
fn in_child_no_driver() {
    if is_child() && !no_loader_here() {
        assert_refused(&["there is no Vulkan driver", "VK_ICD_FILENAMES", "mesa-vulkan-drivers"]);
    }
}

/// Whether this machine has no loader at all: then there is nothing to tell apart.
fn no_loader_here() -> bool {
    Device::available().is_err_and(|error| error.to_string().contains("no Vulkan loader"))
}

/// Whether a device is there; not, where there is no Vulkan and nobody insists on it.
fn has_device() -> bool {
    match Device::vulkan(0) {
        Ok(_) => true,
        Err(error) if std::env::var_os("OSNOVA_REQUIRE_VULKAN").is_some() => panic!("{error}"),
        Err(error) => {
            eprintln!("SKIPPED, for want of a Vulkan device: {error}");
            false
        }
    }
}

#[test]
fn fewer_dtypes() {
    run("in_child_fewer_dtypes", &[("OSNOVA_VULKAN_WITHOUT", "f16,f64,i64,i8")]);
}

#[test]
#[ignore = "run by fewer_dtypes"]
fn in_child_fewer_dtypes() -> Result<()> {
    if !is_child() || !has_device() {
        return Ok(());
    }
    let device = Device::vulkan(0)?;
    let left = [DType::F32, DType::I32, DType::U32];
    let x = Tensor::new([1.0f32, 2.0], device)?;
    for dtype in DType::ALL {
        assert_eq!(device.capabilities().dtypes.contains(dtype), left.contains(&dtype), "{dtype}");
        assert_eq!(Device::available()?[0].dtypes.contains(dtype), left.contains(&dtype), "{dtype}");
        let outcomes = [Tensor::zeros([2], dtype, device), x.to_dtype(dtype)];
        for outcome in outcomes {
            if left.contains(&dtype) {
                assert_eq!(outcome?.dtype(), dtype);
                continue;
            }
            let error = outcome.unwrap_err();
            let message = error.to_string();
            assert!(matches!(*error, Error::Device { .. }), "{message}");
            assert!(message.contains(dtype.name()) && message.contains("another device"), "{message}");
        }
    }
    assert_eq!(x.to_dtype(DType::I32)?.to_vec::<i32>()?, [1, 2]);
    assert_eq!((&x + 0.5)?.to_vec::<f32>()?, [1.5, 2.5]);
    narrow_indices(device)
}

/// Without 64-bit integers: an embedding and its gradient, class labels, a counter of batches.
fn narrow_indices(device: Device) -> Result<()> {
    assert_eq!(device.index_dtype(), DType::I32);
    let table = Tensor::new([[1.0f32, 2.0], [3.0, 4.0], [5.0, 6.0]], device)?;
    for dtype in [DType::I32, DType::U32] {
        let words = Tensor::from_indices(vec![2, 0, 2], [3], dtype, device)?;
        let rows = table.index_select(0, &words)?;
        assert_eq!(rows.to_vec::<f32>()?, [5.0, 6.0, 1.0, 2.0, 5.0, 6.0]);
        assert_eq!(table.index_add(0, &words, &rows)?.to_vec::<f32>()?, [2.0, 4.0, 3.0, 4.0, 15.0, 18.0]);
        let loss = table.cross_entropy(&Tensor::from_indices(vec![1, 1, 1], [3], dtype, device)?)?;
        // ln(1 + e^−1) of each.
        assert!((loss.to_vec::<f32>()?[0] - 0.313_261_7).abs() < 1e-6);
        let wrong = Tensor::from_indices(vec![0, 3], [2], dtype, device)?;
        let message = table.index_select(0, &wrong)?.to_vec::<f32>().unwrap_err().to_string();
        assert!(message.contains("index 3 is out of range for axis 0 of size 3"), "{message}");
    }
    let batches = (Tensor::zeros((), DType::I32, device)? + 1i32)?;
    assert_eq!(batches.to_vec::<i32>()?, [1]);
    Ok(())
}

#[test]
fn without_push_descriptors() {
    run("in_child_without_push_descriptors", &[("OSNOVA_VULKAN_WITHOUT", "push-descriptors, subgroup-sizes")]);
}

#[test]
#[ignore = "run by without_push_descriptors"]
fn in_child_without_push_descriptors() -> Result<()> {
    if !is_child() || !has_device() {
        return Ok(());
    }
    let device = Device::vulkan(0)?;
    let values: Vec<f32> = (0..256).map(|index| index as f32).collect();
    let x = Tensor::from_vec(values.clone(), [2; 8], device)?;
    let (backwards, shuffled) = (x.permute([7, 6, 5, 4, 3, 2, 1, 0])?, x.permute([3, 1, 7, 5, 0, 2, 6, 4])?);
    let expected: Vec<f32> =
        backwards.to_vec::<f32>()?.iter().zip(shuffled.to_vec::<f32>()?).map(|(x, y)| x + y).collect();
    // Many more than a pool of descriptor sets holds, with metadata now pushed, now in a buffer.
    for _ in 0..200 {
        assert_eq!((&x + 1.0)?.shape(), x.shape());
        assert_eq!((&backwards + &shuffled)?.to_vec::<f32>()?, expected);
    }
    assert!(statistics(device)?.submissions >= 200);
    Ok(())
}

#[test]
fn an_unknown_part_to_leave_out() {
    run("in_child_an_unknown_part", &[("OSNOVA_VULKAN_WITHOUT", "f16,warp-drive")]);
}

#[test]
#[ignore = "run by an_unknown_part_to_leave_out"]
fn in_child_an_unknown_part() {
    // Without any device nothing is looked at.
    if is_child() && !Device::available().is_ok_and(|devices| devices.is_empty()) && !no_loader_here() {
        assert_refused(&["OSNOVA_VULKAN_WITHOUT", "`warp-drive`", "push-descriptors"]);
    }
}

#[test]
fn nonsense_in_variables() {
    run("in_child_nonsense", &[("OSNOVA_VULKAN_VALIDATION", "perhaps")]);
    run("in_child_nonsense", &[("OSNOVA_VULKAN_AUTOTUNE", "never")]);
}

#[test]
#[ignore = "run by nonsense_in_variables"]
fn in_child_nonsense() {
    if is_child() {
        let message = Device::vulkan(0).unwrap_err().to_string();
        let named =
            ["OSNOVA_VULKAN_VALIDATION", "OSNOVA_VULKAN_AUTOTUNE"].into_iter().find(|name| message.contains(name));
        assert!(named.is_some_and(|name| std::env::var_os(name).is_some()), "{message}");
        assert!(message.contains("says nothing. Set it to"), "{message}");
    }
}
