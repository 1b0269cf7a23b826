//! The callbacks that come with the crate.

mod early_stopping;
mod history_writer;
mod learning_rate_monitor;
mod model_checkpoint;
mod progress_bar;
mod reduce_on_plateau;
mod weight_averaging;

pub use early_stopping::EarlyStopping;
pub use history_writer::HistoryWriter;
pub use learning_rate_monitor::LearningRateMonitor;
pub use model_checkpoint::ModelCheckpoint;
pub use progress_bar::ProgressBar;
pub use reduce_on_plateau::ReduceOnPlateau;
pub use weight_averaging::WeightAveraging;
