//! The kit on the oracle itself, and on devices that wrap it.

osnova_conformance::conformance_tests!(osnova_tensor::Device::reference());

use osnova_reference::ReferenceDevice;
