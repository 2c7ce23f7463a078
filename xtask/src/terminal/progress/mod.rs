//! Progress on stderr: redrawn in place on a terminal, plain lines elsewhere. Must never decide what is worth
//! waiting for.
//!
//! All that is drawn hangs on one screen, so that whatever else is printed can have it taken away first.

pub mod layout;
mod painter;

use std::io::{self, IsTerminal};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::text::render_bytes;
use crate::terminal::say;
use layout::{Amount, Row, Size, Speed, Standing};

/// How often times and rates are drawn anew, and a window that has changed its size is noticed.
const TICK: Duration = Duration::from_millis(100);

static SCREEN: LazyLock<MultiProgress> = LazyLock::new(|| {
    let target = if is_live() {
        ProgressDrawTarget::term_like_with_hz(Box::new(painter::Painter::default()), 20)
    } else {
        ProgressDrawTarget::hidden()
    };
    MultiProgress::with_draw_target(target)
});

/// Whether progress is redrawn in place. Elsewhere each thing that was reached has a line.
pub fn is_live() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    io::stderr().is_terminal() && (cfg!(windows) || !is_dumb)
}

/// Does something to the terminal while no progress is on it.
pub fn aside<T>(action: impl FnOnce() -> T) -> T {
    SCREEN.suspend(action)
}

/// A line for each thing that is being waited for, and one for all of it where bytes are known.
pub struct LiveLines {
    bar: ProgressBar,
    shown: Arc<Mutex<Shown>>,
}

#[derive(Default)]
struct Shown {
    rows: Vec<Row>,
    /// What is known of all of it together.
    total: Option<Amount>,
}

impl LiveLines {
    pub fn new() -> LiveLines {
        let shown = Arc::new(Mutex::new(Shown::default()));
        let drawn = Arc::clone(&shown);
        let bar = draw(move |state| lock(&drawn).render(speed(state), painter::window()));
        LiveLines { bar, shown }
    }

    /// Shows `rows`, always in the same order. Where nothing is redrawn, a row is printed when it has reached
    /// a state in which it stays.
    pub fn show(&mut self, rows: Vec<Row>) {
        if !is_live() {
            let width = layout::name_width(&rows, Size::UNLIMITED);
            let before = std::mem::take(&mut lock(&self.shown).rows);
            for row in news(&before, &rows) {
                say!("{}", layout::render_row(row, width, Size::UNLIMITED));
            }
        }
        lock(&self.shown).rows = rows;
        self.bar.tick();
    }

    /// Shows how much there is of all rows together.
    pub fn show_total(&mut self, total: Amount) {
        lock(&self.shown).total = Some(total);
        self.bar.set_length(total.total);
        self.bar.set_position(total.done);
    }

    /// How fast it goes, of what [`LiveLines::show_total`] was told.
    pub fn speed(&self) -> Speed {
        speed_of(self.bar.per_sec(), self.bar.eta())
    }

    /// Leaves the rows as they are, as lines that stay.
    pub fn finish(&mut self) {
        self.bar.finish_and_clear();
        if is_live() {
            let rows = std::mem::take(&mut lock(&self.shown).rows);
            let size = Size {
                lines: usize::MAX,
                ..painter::window()
            };
            for line in layout::render_rows(&rows, &[], size) {
                say!("{line}");
            }
        }
    }
}

impl Drop for LiveLines {
    /// Whoever leaves without a result has something else to say.
    fn drop(&mut self) {
        remove(&self.bar);
    }
}

impl Shown {
    fn render(&self, speed: Speed, size: Size) -> Vec<String> {
        let known = self.total.filter(|total| total.total > 0);
        let total = known.map(|total| {
            let words = layout::render_speed(speed, total.certainty);
            let width = layout::name_width(&self.rows, size);
            layout::render_amount(&format!("{:width$}", "total"), total, &words, size)
        });
        layout::render_rows(&self.rows, total.as_slice(), size)
    }
}

/// Those rows that are where they stay and were not there before.
fn news<'a>(before: &[Row], rows: &'a [Row]) -> impl Iterator<Item = &'a Row> {
    let is_news = |row: &&Row| {
        let is_final = matches!(row.standing, Standing::Reached | Standing::Failed);
        is_final && !before.contains(row)
    };
    rows.iter().filter(is_news)
}

/// A line that tells how much has been moved and how fast; where nothing is redrawn only at the end.
pub struct Meter {
    what: String,
    begin: Instant,
    bar: ProgressBar,
}

impl Meter {
    /// For something of unknown size.
    pub fn new(what: &str) -> Meter {
        Meter::start(what, None)
    }

    /// For something of which the bytes are known: shows a bar and the time that is left.
    pub fn of(what: &str, total: u64) -> Meter {
        Meter::start(what, Some(total))
    }

    fn start(what: &str, total: Option<u64>) -> Meter {
        let name = format!("{what:24}");
        let bar = draw(move |state| {
            let moved = layout::Moved {
                done: state.pos(),
                total,
            };
            vec![layout::render_meter(
                &name,
                moved,
                speed(state),
                painter::window(),
            )]
        });
        if let Some(total) = total {
            bar.set_length(total);
        }
        Meter {
            what: what.to_owned(),
            begin: Instant::now(),
            bar,
        }
    }

    pub fn add(&mut self, bytes: usize) {
        self.bar.inc(bytes as u64);
    }

    /// Leaves a line that says how much it was, and how fast on the whole.
    pub fn finish(self) {
        let bytes = self.bar.position();
        let rate = bytes as f64 / self.begin.elapsed().as_secs_f64().max(0.001);
        self.bar.finish_and_clear();
        say!(
            "  {:24} {:>9} {:>9}/s",
            self.what,
            render_bytes(bytes),
            render_bytes(rate as u64)
        );
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        remove(&self.bar);
    }
}

/// Puts something on the screen that renders itself whenever it is drawn.
fn draw(
    render: impl Fn(&ProgressState) -> Vec<String> + Clone + Send + Sync + 'static,
) -> ProgressBar {
    let write = move |state: &ProgressState, to: &mut dyn std::fmt::Write| {
        let _ = to.write_str(&painter::styled(&render(state).join("\n")));
    };
    let style = ProgressStyle::with_template("{lines}").expect("a template of ours");
    let bar = SCREEN.add(ProgressBar::no_length());
    bar.set_style(style.with_key("lines", write));
    if is_live() {
        bar.enable_steady_tick(TICK);
    }
    bar
}

fn remove(bar: &ProgressBar) {
    bar.finish_and_clear();
    SCREEN.remove(bar);
}

fn speed(state: &ProgressState) -> Speed {
    speed_of(state.per_sec(), state.eta())
}

fn speed_of(rate: f64, left: Duration) -> Speed {
    Speed {
        rate: rate as u64,
        left: (rate >= 1.0).then_some(left.as_secs()),
    }
}

fn lock(shown: &Mutex<Shown>) -> MutexGuard<'_, Shown> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}
