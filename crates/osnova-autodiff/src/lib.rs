//! Reverse-mode automatic differentiation for Osnova, as a device that wraps a device
