//! The default CPU backend of Osnova

#[doc(hidden)]
pub mod dispatch;
#[doc(hidden)]
pub mod vector;
