//! How a pull is shown: on a terminal a line an image and one in all, elsewhere a line when an image begins,
//! one when it is there, and one every ten seconds.
//!
//! Must never pull.

use std::time::{Duration, Instant};

use crate::docker::download::{self, Download, Message, Outcome, Phase};
use crate::terminal::progress::layout::{Amount, Row, Stage, Standing, render_part, render_speed};
use crate::terminal::progress::{self, LiveLines};
use crate::terminal::say;
use crate::terminal::text::render_bytes;

/// How often a line says how far all is, where nothing is redrawn.
const REPORT: Duration = Duration::from_secs(10);

/// How often what is drawn takes note of what was told: the engine tells of each layer ten times a second.
const REDRAW: Duration = Duration::from_millis(50);

/// Images that are being pulled.
pub struct Display {
    items: Vec<Item>,
    lines: LiveLines,
    begin: Instant,
    shown: Instant,
    reported: Instant,
}

/// One of them.
struct Item {
    image: String,
    download: Download,
    state: ItemState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ItemState {
    UnderWay,
    Ended,
}

impl Display {
    pub fn new<'a>(images: impl Iterator<Item = &'a str>, now: Instant) -> Display {
        let item = |image: &str| Item {
            image: image.to_owned(),
            download: Download::default(),
            state: ItemState::UnderWay,
        };
        let display = Display {
            items: images.map(item).collect(),
            lines: LiveLines::new(),
            begin: now,
            shown: now,
            reported: now,
        };
        if !progress::is_live() {
            for item in &display.items {
                say!("pulling {}", item.image);
            }
        }
        display
    }

    /// Takes note of what the engine tells of an image.
    pub fn take(&mut self, index: usize, message: &Message) {
        self.items[index].download.take(message);
        if self.shown.elapsed() >= REDRAW {
            self.show();
        }
    }

    /// Takes note of an image that is there.
    pub fn end(&mut self, index: usize) {
        let seconds = self.begin.elapsed().as_secs_f64();
        let item = &mut self.items[index];
        item.state = ItemState::Ended;
        if !progress::is_live() {
            match item.download.outcome() {
                Outcome::Newer => say!(
                    "pulled {}: {} in {seconds:.1} s",
                    item.image,
                    render_bytes(item.bytes())
                ),
                Outcome::UpToDate => say!("already up to date: {}", item.image),
            }
        }
        self.show();
    }

    /// Shows how far all is.
    pub fn show(&mut self) {
        self.shown = Instant::now();
        let total = download::sum(self.items.iter().map(|item| &item.download));
        self.lines.show_total(total);
        if progress::is_live() {
            self.lines.show(self.items.iter().map(Item::row).collect());
        } else if self.reported.elapsed() >= REPORT {
            self.reported = Instant::now();
            say!("pulling: {}", self.report(total));
        }
    }

    /// How far all is, for where nothing is redrawn.
    fn report(&self, total: Amount) -> String {
        let phases = || self.items.iter().map(|item| item.download.phase());
        if total.total == 0 {
            return "waiting for the registry".to_owned();
        }
        let mut words = vec![render_part(total)];
        if phases().any(|phase| phase == Phase::Retrying) {
            words.push("retrying, since the connection broke off".to_owned());
        } else {
            words.extend(render_speed(self.lines.speed(), total.certainty));
        }
        words.join(", ")
    }

    /// Leaves what stays.
    pub fn finish(mut self) {
        self.show();
        self.lines.finish();
        let newer = self.items.iter();
        let newer = newer
            .filter(|item| item.download.outcome() == Outcome::Newer)
            .count();
        let total = download::sum(self.items.iter().map(|item| &item.download)).total;
        let seconds = self.begin.elapsed().as_secs_f64();
        if newer > 0 {
            say!("pulled {} in {seconds:.1} s", render_bytes(total));
        }
    }
}

impl Item {
    fn bytes(&self) -> u64 {
        download::sum([&self.download]).total
    }

    fn row(&self) -> Row {
        let state = |word: &str, note: String| Stage::State {
            word: word.to_owned(),
            note,
        };
        let (standing, stage) = match (self.state, self.download.phase()) {
            (ItemState::Ended, _) => {
                let stage = match self.download.outcome() {
                    Outcome::Newer => state("done", render_bytes(self.bytes())),
                    Outcome::UpToDate => state("up to date", String::new()),
                };
                (Standing::Reached, stage)
            }
            (_, Phase::Downloading(amount)) => (Standing::Waiting, Stage::Amount(amount)),
            (_, Phase::Extracting) => (
                Standing::Waiting,
                state("extracting", render_bytes(self.bytes())),
            ),
            (_, Phase::Retrying) => {
                let why = "the connection broke off".to_owned();
                (Standing::Waiting, state("retrying", why))
            }
            (_, Phase::Waiting | Phase::Present) => {
                (Standing::Waiting, state("waiting", String::new()))
            }
        };
        Row {
            name: self.image.clone(),
            standing,
            stage,
        }
    }
}
