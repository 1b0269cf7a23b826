//! Data sets, readers, preprocessing, splits and loaders for Osnova
