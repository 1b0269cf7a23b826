//! Random numbers again: what a function drew is noted, so that it can draw the same when it runs another time.

use super::Stream;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// A function that is running on this thread.
enum Frame {
    /// Its draws are noted.
    Noted(Vec<Stream>),
    /// Its draws are these, in order.
    Replayed {
        streams: VecDeque<Stream>,
        /// Whether it drew more than that.
        exceeded: bool,
    },
}

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static FRAMES: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
}

/// Ends the innermost frame, on a panic too.
struct Guard;

impl Guard {
    fn enter(frame: Frame) -> Self {
        FRAMES.with_borrow_mut(|frames| frames.push(frame));
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        FRAMES.with_borrow_mut(|frames| frames.truncate(DEPTH.get()));
    }
}

/// Runs a function on this thread and notes where each of its draws from any [`Generator`](super::Generator) started.
pub fn noted<R>(function: impl FnOnce() -> R) -> (R, Vec<Stream>) {
    let guard = Guard::enter(Frame::Noted(Vec::new()));
    let result = function();
    let streams = match FRAMES.with_borrow_mut(Vec::pop) {
        Some(Frame::Noted(streams)) => streams,
        _ => Vec::new(),
    };
    drop(guard);
    (result, streams)
}

/// Runs a function on this thread whose draws are these, in order; generators stay where they are. The second value says whether it drew
/// exactly as often; what it draws beyond is new.
pub fn replayed<R>(streams: &[Stream], function: impl FnOnce() -> R) -> (R, bool) {
    let guard = Guard::enter(Frame::Replayed { streams: streams.iter().copied().collect(), exceeded: false });
    let result = function();
    let exact = match FRAMES.with_borrow_mut(Vec::pop) {
        Some(Frame::Replayed { streams, exceeded }) => streams.is_empty() && !exceeded,
        _ => false,
    };
    drop(guard);
    (result, exact)
}

/// The next draw: of the innermost replay, if one runs; noted by all that run inside it.
#[inline]
pub(super) fn draw(new: impl FnOnce() -> Stream) -> Stream {
    if DEPTH.get() == 0 {
        return new();
    }
    FRAMES.with_borrow_mut(|frames| {
        let replay = frames.iter().rposition(|frame| matches!(frame, Frame::Replayed { .. }));
        let stream = match replay.map(|at| &mut frames[at]) {
            Some(Frame::Replayed { streams, exceeded }) => streams.pop_front().unwrap_or_else(|| {
                *exceeded = true;
                new()
            }),
            _ => new(),
        };
        for frame in &mut frames[replay.map_or(0, |at| at + 1)..] {
            if let Frame::Noted(noted) = frame {
                noted.push(stream);
            }
        }
        stream
    })
}

#[cfg(test)]
mod tests {
    use super::super::Generator;
    use super::*;

    #[test]
    fn what_was_noted_comes_again() {
        let generator = Generator::new(3);
        let other = Generator::new(4);
        let draws = || [generator.take(2), other.take(1), generator.take(5)];
        let (first, streams) = noted(draws);
        assert_eq!(streams, first);
        let position = generator.position();
        assert_eq!(replayed(&streams, draws), (first, true));
        assert_eq!(generator.position(), position);
        assert_ne!(draws(), first);
        // Too few draws, and too many.
        assert_eq!(replayed(&streams, || generator.take(2)), (first[0], false));
        assert!(!replayed(&streams[..1], draws).1);
    }

    #[test]
    fn notes_and_replays_nest() {
        let generator = Generator::new(3);
        let ((inside, outside), all) = noted(|| {
            let ((), inside) = noted(|| {
                generator.take(1);
            });
            let outside = generator.take(1);
            // A replay is nothing new to those around it.
            assert_eq!(replayed(&inside, || generator.take(1)), (inside[0], true));
            (inside, outside)
        });
        assert_eq!(all, [inside[0], outside]);
        let ((), again) = replayed(&all, || {
            let ((), noted) = noted(|| {
                generator.take(1);
            });
            assert_eq!(noted, inside);
            assert_eq!(generator.take(1), outside);
        });
        assert!(again);
    }

    #[test]
    fn a_panic_leaves_nothing_behind() {
        let generator = Generator::new(3);
        let panicked = std::panic::catch_unwind(|| noted(|| panic!("on purpose")).1);
        assert!(panicked.is_err());
        assert_eq!(DEPTH.get(), 0);
        assert_eq!(noted(|| generator.take(1)).1.len(), 1);
    }
}
