//! The public test kit that any Osnova backend runs
