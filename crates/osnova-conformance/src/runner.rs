//! Drawing cases and shrinking those that fail.

use crate::catalogue::Subject;
use crate::{Failure, Settings};
use osnova_tensor::Device;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// How often a failing case is made simpler at most.
const SHRINKS: usize = 400;

/// Runs the case that `seed` draws, and, if it fails, makes it as simple as it gets.
pub(crate) fn run_seed(device: Device, settings: &Settings, subject: &Subject, seed: u64) -> Result<(), Failure> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let failure = |case: String, problem| {
        let subject = subject.name.clone();
        Failure { subject, seed: Some(seed), case, problem, device: device.name() }
    };
    let mut tree = match subject.cases.new_tree(&mut runner) {
        Ok(tree) => tree,
        Err(reason) => return Err(failure("none".into(), format!("no case could be drawn: {reason}"))),
    };
    let mut simplest = tree.current();
    let Err(mut problem) = (subject.check)(device, settings, &simplest) else { return Ok(()) };
    for _ in 0..SHRINKS {
        let case = tree.current();
        let went_on = match (subject.check)(device, settings, &case) {
            Err(found) => {
                (simplest, problem) = (case, found);
                tree.simplify()
            }
            Ok(()) => tree.complicate(),
        };
        if !went_on {
            break;
        }
    }
    Err(failure(format!("{simplest:?}"), problem))
}
