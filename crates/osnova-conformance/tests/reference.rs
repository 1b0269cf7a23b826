//! The kit on a second oracle, which rounds to the dtype that it is asked for where the first computes in f64; never on the oracle itself.

use osnova_conformance::Settings;
use osnova_reference::{Reference, ReferenceDevice};
use osnova_tensor::Device;
use std::sync::OnceLock;

osnova_conformance::conformance_tests!(second());

fn second() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    *DEVICE.get_or_init(|| Device::intern(Reference))
}

#[test]
fn the_oracle_is_not_compared_with_itself() {
    let settings = Settings::default().cases(1);
    for report in [
        osnova_conformance::run_all(Device::reference(), &settings),
        osnova_conformance::elementwise(Device::reference(), &settings),
        osnova_conformance::repeat(Device::reference(), "add", 0),
    ] {
        let [failure] = report.failures() else { panic!("{report}") };
        assert!(failure.problem.contains("compared with itself"), "{report}");
        assert_eq!(report.cases(), 0);
    }
    assert_ne!(second(), Device::reference());
}
