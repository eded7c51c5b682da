//! Progress on a terminal; nothing in a pipe.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::engine::Progress;
use crate::model::millis_since;

use super::output::Output;

const TICK: Duration = Duration::from_millis(120);

/// A bar or a spinner that goes when it is dropped.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    stop: Arc<AtomicBool>,
}

impl Bar {
    /// A spinner that says `text`.
    pub fn spinner(output: &Output, text: &str) -> Self {
        let bar = if output.shows_progress() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        bar.set_style(style("{spinner} {msg} {elapsed}"));
        bar.set_message(text.to_owned());
        bar.enable_steady_tick(TICK);
        Self { bar, stop: Arc::default() }
    }

    /// A bar over counted things.
    pub fn counted(output: &Output, text: &str) -> Self {
        let bar = if output.shows_progress() { ProgressBar::new(1) } else { ProgressBar::hidden() };
        bar.set_style(style("{msg} [{bar:30}] {human_pos}/{human_len} {elapsed}"));
        bar.set_message(text.to_owned());
        Self { bar, stop: Arc::default() }
    }

    /// `done` of `total` things are done.
    pub fn set(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// A spinner that shows the rows and the rate of `progress`.
    pub fn rows(output: &Output, source: &str, progress: Arc<Progress>) -> Self {
        let this = Self::spinner(output, &format!("{source}: reading"));
        if output.shows_progress() {
            let (bar, stop) = (this.bar.clone(), Arc::clone(&this.stop));
            let source = source.to_owned();
            std::thread::spawn(move || {
                let started = std::time::Instant::now();
                while !stop.load(Ordering::Relaxed) {
                    let ms = millis_since(started);
                    let rows = progress.rows();
                    bar.set_message(format!(
                        "{source}: {} rows, {}",
                        super::output::count(rows),
                        super::output::rate(rows, ms)
                    ));
                    std::thread::sleep(TICK);
                }
            });
        }
        this
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
