//! Environment variables that are nonsense: told once, and ignored.

use osnova_cpu::CpuDevice;
use osnova_tensor::{DType, Device, Result, Tensor};
use std::process::Command;

/// What a program that computes a little says on the standard error under these settings, and its number of threads and level.
fn program(settings: &[(&str, &str)]) -> (String, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "a_program_that_computes_a_little", "--nocapture"]).env("OSNOVA_TEST_PROGRAM", "1");
    command.env_remove("OSNOVA_NUM_THREADS").env_remove("OSNOVA_CPU_LEVEL").envs(settings.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, errors) = (text(output.stdout), text(output.stderr));
    let said = out.lines().find_map(|line| line.split_once("chosen: ")).unwrap_or_else(|| panic!("{out}")).1.to_owned();
    // Other lines come from the test harness.
    (errors.lines().filter(|line| line.contains("osnova")).collect::<Vec<_>>().join("\n"), said)
}

#[test]
fn a_program_that_computes_a_little() -> Result<()> {
    if std::env::var_os("OSNOVA_TEST_PROGRAM").is_none() {
        return Ok(());
    }
    for _ in 0..3 {
        let x = Tensor::ones([300, 300], DType::F32, Device::cpu())?;
        assert_eq!(x.matmul(&x)?.sum(.., false)?.item()?, 27e6);
    }
    println!("chosen: {} {:?}", osnova_cpu::pool::default_threads(), osnova_cpu::dispatch::level());
    Ok(())
}

#[test]
fn nonsense_is_told_once_and_ignored() {
    let (nothing, defaults) = program(&[]);
    assert_eq!(nothing, "");
    for threads in ["abc", "0", "-1", "3.5", "5000", "99999999999999999999999", "2 4", "\u{1b}[31m"] {
        let (said, chosen) = program(&[("OSNOVA_NUM_THREADS", threads)]);
        assert_eq!(said.matches("OSNOVA_NUM_THREADS=").count(), 1, "{said}");
        assert!(said.contains("is ignored: give a whole number from 1 to ") && !said.contains('\u{1b}'), "{said}");
        assert_eq!(chosen, defaults);
    }
    for level in ["nonsense", "avx1024", "sse2 avx2", "1"] {
        let (said, chosen) = program(&[("OSNOVA_CPU_LEVEL", level)]);
        assert_eq!(said.matches("OSNOVA_CPU_LEVEL=").count(), 1, "{said}");
        assert!(said.contains("is ignored: this processor has portable"), "{said}");
        assert_eq!(chosen, defaults);
    }
}

#[test]
fn sense_is_heard() {
    for (name, value, chosen) in [
        ("OSNOVA_NUM_THREADS", "3", "3 "),
        ("OSNOVA_NUM_THREADS", " 1 ", "1 "),
        ("OSNOVA_CPU_LEVEL", "portable", "Portable"),
        ("OSNOVA_CPU_LEVEL", "PORTABLE", "Portable"),
    ] {
        let (said, got) = program(&[(name, value)]);
        assert_eq!(said, "");
        assert!(got.starts_with(chosen) || got.ends_with(chosen), "{name}={value}: {got}");
    }
    let (said, _) = program(&[("OSNOVA_NUM_THREADS", ""), ("OSNOVA_CPU_LEVEL", "")]);
    assert_eq!(said, "", "an empty variable is none");
}

#[test]
fn a_device_of_too_many_threads_is_refused_at_once() {
    for threads in [1 << 20, usize::MAX] {
        let error = Device::cpu_with_threads(threads).unwrap_err().to_string();
        assert!(error.contains("are more than the") && error.contains("Use fewer threads"), "{error}");
    }
    assert!(Device::cpu_with_threads(8).is_ok());
}
