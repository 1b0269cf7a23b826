//! The sweep: every public function of tensors, the creators, the random numbers, the losses and every [`Op`], called with ranks
//! 0 to 8, sizes of 0, views of 2⁴⁰ elements over a single one, and all dtypes, in a process whose memory ends soon. Each call
//! gives a result or an error that fits on a screen; none may panic, end the process or run away.
//!
//! A function that is added later is missed: [`listed`] reads the names from the sources.

#![cfg(feature = "cpu")]

mod calls;
mod inputs;
mod listed;
mod losses;
mod operations;

use calls::Call;
use osnova::prelude::*;
use osnova::tensor::{Error, OpKind};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Everything that is called.
fn all() -> Vec<Call> {
    let mut list = Vec::new();
    calls::tensors(&mut list);
    calls::creators(&mut list);
    calls::generators(&mut list);
    losses::losses(&mut list);
    losses::functions(&mut list);
    operations::operations(&mut list);
    list
}

#[test]
fn no_public_function_is_left_out() {
    let swept: BTreeSet<String> = all().iter().map(|call| call.name.clone()).collect();
    let mut missing = String::new();
    for name in listed::functions().into_iter().chain(OpKind::ALL.iter().map(|kind| format!("Op::{kind:?}"))) {
        if !swept.contains(&name) && !listed::EXEMPT.contains(&name.as_str()) {
            let _ = write!(missing, "{name} ");
        }
    }
    assert!(missing.is_empty(), "add to tests/sweep, or to the exempt with a reason: {missing}");
    assert!(swept.len() > 150, "the sources were not found: {}", swept.len());
}

/// Calls `call` with `input`; what is wrong with the outcome.
fn fault(call: &Call, input: &Tensor) -> Option<String> {
    let outcome: Result<(), Box<Error>> = match catch_unwind(AssertUnwindSafe(|| (call.run)(input))) {
        Ok(outcome) => outcome,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            return Some(format!("panicked: {}", text.unwrap_or_default().chars().take(200).collect::<String>()));
        }
    };
    let message = outcome.err()?.to_string();
    let bounded = message.len() <= 2000 && !message.chars().any(char::is_control);
    (!bounded).then(|| format!("the message is no screen's: {}", message.chars().take(200).collect::<String>()))
}

/// Calls everything with everything; runs in a process of its own.
fn sweep() {
    let list = all();
    let mut faults = Vec::new();
    std::panic::set_hook(Box::new(|_| ()));
    for (what, input) in inputs::inputs() {
        for call in &list {
            // What is printed last tells the call that ended the process.
            println!("{} with {what}", call.name);
            if let Some(fault) = fault(call, &input) {
                faults.push(format!("{} with {what}: {fault}", call.name));
            }
        }
    }
    let _ = std::panic::take_hook();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults[..faults.len().min(60)].join("\n"));
}

#[test]
#[cfg(target_os = "linux")]
fn every_call_gives_a_result_or_an_error() {
    const NAME: &str = "every_call_gives_a_result_or_an_error";
    if std::env::var_os("OSNOVA_SWEEP").is_some() {
        return sweep();
    }
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "ulimit -v 3000000 && exec \"$0\" --exact \"$1\" --nocapture"]);
    shell.arg(std::env::current_exe().unwrap()).arg(NAME);
    let output = shell.env("OSNOVA_SWEEP", "1").env("OSNOVA_NUM_THREADS", "2").output().unwrap();
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let lines: Vec<_> = out.lines().collect();
    let last = lines[lines.len().saturating_sub(3)..].join("\n");
    assert!(output.status.success(), "{:?} after\n{last}\n{errors}", output.status);
    assert!(lines.len() > 10_000, "only {} calls", lines.len());
}
