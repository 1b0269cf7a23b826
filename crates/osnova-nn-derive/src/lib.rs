//! The derive macro behind osnova-nn's Module
