//! Atomic, verified, resumable checkpoints for Osnova
