//! Every operation on the CPU against the oracle.

use osnova_cpu::CpuDevice;

osnova_conformance::conformance_tests!(osnova_tensor::Device::cpu());
