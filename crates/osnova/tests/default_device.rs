//! `OSNOVA_DEVICE`, each time in a process of its own.
#![cfg(feature = "cpu")]

use std::process::Command;

/// Says in a child what the variable should lead to: the device's name, or part of an error.
const EXPECTED: &str = "OSNOVA_TEST_EXPECTED_DEVICE";

#[test]
fn the_variable_names_the_default_device() {
    let without_vulkan = if cfg!(feature = "vulkan") { "vulkan" } else { "built without the Vulkan backend" };
    let cases = [
        (None, "cpu"),
        (Some(""), "cpu"),
        (Some("cpu"), "cpu"),
        (Some("abacus"), "there is no device of this name"),
        (Some("vulkan"), without_vulkan),
        (Some("vulkan:0"), without_vulkan),
        (Some("vulkan:first"), "there is no device of this name"),
    ];
    for (value, expected) in cases {
        let mut child = Command::new(std::env::current_exe().expect("this program has a path"));
        child.args(["in_child", "--exact", "--ignored", "--nocapture"]).env(EXPECTED, expected);
        match value {
            Some(value) => child.env("OSNOVA_DEVICE", value),
            None => child.env_remove("OSNOVA_DEVICE"),
        };
        let output = child.output().expect("this program runs");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{value:?}, {expected}:\n{text}");
    }
}

#[test]
#[ignore = "run by the_variable_names_the_default_device"]
fn in_child() {
    let Ok(expected) = std::env::var(EXPECTED) else { return };
    let found = osnova::default_device().map_or_else(|error| error.to_string(), |device| device.name());
    // Where Vulkan is compiled in, it depends on the machine whether there is a device or an error: both say `vulkan`.
    let fits = if expected == "cpu" { found == expected } else { found.contains(&expected) };
    assert!(fits, "{found} is not {expected}");
}
