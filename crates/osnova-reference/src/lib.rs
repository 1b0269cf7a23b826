//! The oracle of Osnova: every operation written naively in f64
