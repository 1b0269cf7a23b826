//! Optimizers, learning-rate schedules and gradient clipping for Osnova
