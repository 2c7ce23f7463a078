//! How progress is laid out in a window of any size, as text. Must never look at a terminal or a clock.

use crate::terminal::text::{render_bytes, render_duration};
use crate::terminal::{GREEN, RED, RESET};

/// A bar that is shorter than this says nothing.
const SHORTEST_BAR: usize = 8;

/// The columns of `38 of 400+ MiB`.
const NUMBERS: usize = 14;

/// A longer bar says no more, and puts its numbers too far away.
const LONGEST_BAR: usize = 40;

/// One thing that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub name: String,
    pub standing: Standing,
    pub stage: Stage,
}

/// How much is known of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A state in a word or two, and what else is known of it.
    State {
        word: String,
        note: String,
    },
    Amount(Amount),
}

/// Whether there is more to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Waiting,
    /// It stays like this.
    Reached,
    /// As [`Standing::Reached`], and it was so before: no news.
    Unchanged,
    Failed,
}

/// Bytes of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    pub done: u64,
    pub total: u64,
    pub certainty: Certainty,
}

/// Whether a total is all there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Certainty {
    #[default]
    Exact,
    /// More may be announced.
    AtLeast,
}

/// How fast something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Speed {
    /// Bytes a second.
    pub rate: u64,
    /// Seconds that are left at this rate.
    pub left: Option<u64>,
}

/// The columns and lines of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub columns: usize,
    pub lines: usize,
}

impl Size {
    /// Of what is no window.
    pub const UNLIMITED: Size = Size {
        columns: usize::MAX,
        lines: usize::MAX,
    };

    /// Columns that a line may use: in the last one some terminals wrap.
    fn usable(self) -> usize {
        self.columns.saturating_sub(1)
    }
}

/// A line a row, and no line wider and not more lines than the window has. Of too many, those go first that
/// are done.
pub fn render_rows(rows: &[Row], more: &[String], size: Size) -> Vec<String> {
    let limit = size.lines.saturating_sub(1 + more.len()).max(1);
    let (shown, hidden) = choose(rows, limit);
    let names = name_width(rows, size);
    let mut lines = Vec::new();
    match hidden {
        Hidden::None => {}
        Hidden::Done(count) => lines.push(cut(&format!("  {count} more are done"), size.usable())),
        Hidden::Some(count) => lines.push(cut(&format!("  and {count} more"), size.usable())),
    }
    lines.extend(shown.iter().map(|row| render_row(row, names, size)));
    lines.extend(more.iter().cloned());
    lines
}

/// What a window is too low for.
enum Hidden {
    None,
    Done(usize),
    Some(usize),
}

fn choose(rows: &[Row], limit: usize) -> (Vec<&Row>, Hidden) {
    let mut shown: Vec<&Row> = rows.iter().collect();
    if shown.len() <= limit {
        return (shown, Hidden::None);
    }
    // One line says what is hidden.
    let limit = limit.saturating_sub(1);
    let mut surplus = rows.len() - limit;
    shown.retain(|row| {
        let goes = surplus > 0 && matches!(row.standing, Standing::Reached | Standing::Unchanged);
        surplus -= usize::from(goes);
        !goes
    });
    if shown.len() <= limit {
        let hidden = rows.len() - shown.len();
        return (shown, Hidden::Done(hidden));
    }
    shown.truncate(limit);
    let hidden = rows.len() - shown.len();
    (shown, Hidden::Some(hidden))
}

/// The columns that names get: what the longest needs, but not what bars and numbers need.
pub fn name_width(rows: &[Row], size: Size) -> usize {
    let longest = rows.iter().map(|row| row.name.chars().count()).max();
    let has_bars = rows.iter().any(|row| matches!(row.stage, Stage::Amount(_)));
    let usable = size.usable();
    let room = match usable {
        _ if !has_bars => usable / 2,
        ..60 => usable.saturating_sub(6 + SHORTEST_BAR + NUMBERS),
        _ => usable - (6 + 2 * SHORTEST_BAR + NUMBERS),
    };
    longest.unwrap_or(0).min(room.max(8))
}

/// A row in a table whose names have `names` columns.
pub fn render_row(row: &Row, names: usize, size: Size) -> String {
    let name = cut_front(&row.name, names);
    match &row.stage {
        Stage::Amount(amount) => render_amount(&format!("{name:names$}"), *amount, &[], size),
        Stage::State { word, note } => {
            let left = size.usable().saturating_sub(4 + names);
            let word = cut(word, left);
            let left = left.saturating_sub(word.chars().count().max(10) + 1);
            let note = cut(note, left);
            let (style, reset) = match row.standing {
                Standing::Reached => (GREEN.to_string(), RESET.to_string()),
                Standing::Failed => (RED.to_string(), RESET.to_string()),
                Standing::Waiting | Standing::Unchanged => Default::default(),
            };
            if note.is_empty() {
                format!("  {name:names$}  {style}{word}{reset}")
            } else {
                format!("  {name:names$}  {style}{word:10}{reset} {note}")
            }
        }
    }
}

/// A bar that takes what is left of the line, bytes of bytes, and what else is known. In a narrow window the
/// bar goes first, then the name.
pub fn render_amount(name: &str, amount: Amount, more: &[String], size: Size) -> String {
    let mut words = vec![format!("{:>NUMBERS$}", render_part(amount))];
    words.extend(more.iter().cloned());
    let words = words.join("  ");
    let width = |text: &str| text.chars().count();

    let room = size
        .usable()
        .saturating_sub(6 + width(name) + width(&words));
    if room >= SHORTEST_BAR {
        let bar = render_bar(amount, room.min(LONGEST_BAR));
        return format!("  {name}  {bar}  {words}");
    }
    let words = words.trim_start();
    let lines = [
        format!("  {name}  {words}"),
        format!("  {words}"),
        format!("  {}", words.replace(" left", "")),
    ];
    let fits = lines.iter().find(|line| width(line) <= size.usable());
    cut(fits.unwrap_or(&lines[2]), size.usable())
}

/// How much has been moved, of how much if that is known; bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    pub done: u64,
    pub total: Option<u64>,
}

/// A line that says how much has been moved and how fast, of a total where it is known.
pub fn render_meter(name: &str, moved: Moved, speed: Speed, size: Size) -> String {
    let words = render_speed(speed, Certainty::Exact);
    let Moved { done, total } = moved;
    let Some(total) = total else {
        let line = format!("  {name}  {:>9}  {:>11}", render_bytes(done), words[0]);
        return cut_styled(&line, size.usable());
    };
    let amount = Amount {
        done,
        total,
        certainty: Certainty::Exact,
    };
    render_amount(name, amount, &words, size)
}

/// `12 MiB/s`, `34 s left`.
pub fn render_speed(speed: Speed, certainty: Certainty) -> Vec<String> {
    let mut words = vec![format!("{}/s", render_bytes(speed.rate))];
    if let Some(left) = speed.left {
        let more = match certainty {
            Certainty::Exact => "",
            Certainty::AtLeast => ">",
        };
        words.push(format!("{more}{} left", render_duration(left)));
    }
    words
}

/// `38 of 123 MiB`, both in the unit of the total; with a `+` when there may be more.
pub fn render_part(amount: Amount) -> String {
    let (unit, name) = match amount.total {
        ..0xf_0000 => (1024.0, "KiB"),
        0xf_0000..0x4000_0000 => (1024.0 * 1024.0, "MiB"),
        _ => (1024.0 * 1024.0 * 1024.0, "GiB"),
    };
    let number = |bytes: u64| match bytes as f64 / unit {
        small @ ..10.0 if name != "KiB" => format!("{small:.1}"),
        large => format!("{large:.0}"),
    };
    let more = match amount.certainty {
        Certainty::Exact => "",
        Certainty::AtLeast => "+",
    };
    let done = number(amount.done.min(amount.total));
    format!("{done} of {}{more} {name}", number(amount.total))
}

fn render_bar(amount: Amount, width: usize) -> String {
    let share = amount.done as f64 / (amount.total as f64).max(1.0);
    let full = (share.clamp(0.0, 1.0) * width as f64) as usize;
    format!(
        "{GREEN}{}{RESET}{}",
        "━".repeat(full),
        "─".repeat(width - full)
    )
}

/// At most `width` characters, the end cut off.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    if width == 0 {
        kept
    } else {
        format!("{kept}…")
    }
}

/// At most `width` characters, the beginning cut off: an image's name tells most at its end.
fn cut_front(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().skip(count - width.saturating_sub(1)).collect();
    if width == 0 {
        String::new()
    } else {
        format!("…{kept}")
    }
}

/// At most `width` visible characters of a line with styles.
pub fn cut_styled(line: &str, width: usize) -> String {
    let mut cut = String::new();
    let mut visible = 0;
    let mut in_style = false;
    for c in line.chars() {
        match c {
            '\x1b' => in_style = true,
            _ if in_style => in_style = c != 'm',
            _ if visible == width => continue,
            _ => {
                visible += 1;
                cut.push(c);
                continue;
            }
        }
        cut.push(c);
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn state(name: &str, standing: Standing, word: &str, note: &str) -> Row {
        Row {
            name: name.to_owned(),
            standing,
            stage: Stage::State {
                word: word.to_owned(),
                note: note.to_owned(),
            },
        }
    }

    fn loading(name: &str, done: u64, total: u64) -> Row {
        let amount = Amount {
            done,
            total,
            certainty: Certainty::Exact,
        };
        Row {
            name: name.to_owned(),
            standing: Standing::Waiting,
            stage: Stage::Amount(amount),
        }
    }

    fn size(columns: usize, lines: usize) -> Size {
        Size { columns, lines }
    }

    /// The lines in a window, without styles; none may be wider than it.
    #[track_caller]
    fn check(rows: &[Row], more: &[String], size: Size, wanted: &str) {
        let lines = render_rows(rows, more, size);
        let plain: Vec<String> = lines
            .iter()
            .map(|line| anstream::adapter::strip_str(line).to_string())
            .collect();
        assert_eq!(plain.join("\n"), wanted);
        assert!(plain.iter().all(|line| line.chars().count() < size.columns));
        assert!(plain.len() < size.lines);
    }

    fn three_images() -> [Row; 3] {
        [
            loading("ghcr.io/umami-software/umami:3.1.0", 38 * MIB, 123 * MIB),
            loading("redis:7", 512 * 1024, 40 * MIB),
            state("postgres:15", Standing::Reached, "done", "235 MiB"),
        ]
    }

    fn total(size: Size) -> String {
        let amount = Amount {
            done: 38 * MIB,
            total: 400 * MIB,
            certainty: Certainty::AtLeast,
        };
        let speed = Speed {
            rate: 12 * MIB,
            left: Some(34),
        };
        let words = render_speed(speed, amount.certainty);
        let width = name_width(&three_images(), size);
        render_amount(&format!("{:width$}", "total"), amount, &words, size)
    }

    #[test]
    fn a_window_of_any_width_shows_bars_and_bytes() {
        let wide = size(80, 24);
        check(
            &three_images(),
            &[total(wide)],
            wide,
            "  ghcr.io/umami-software/umami:3.1.0  ━━━━━━━──────────────────   38 of 123 MiB\n  \
               redis:7                             ─────────────────────────   0.5 of 40 MiB\n  \
               postgres:15                         done       235 MiB\n  \
               total                               38 of 400+ MiB  12 MiB/s  >34 s left",
        );
    }

    #[test]
    fn a_narrow_window_shows_bars_and_bytes_too() {
        let narrow = size(40, 10);
        check(
            &three_images(),
            &[total(narrow)],
            narrow,
            "  …mami:3.1.0  ━━──────   38 of 123 MiB\n  \
               redis:7      ────────   0.5 of 40 MiB\n  \
               postgres:15  done       235 MiB\n  \
               38 of 400+ MiB  12 MiB/s  >34 s left",
        );
    }

    #[test]
    fn a_low_window_shows_what_is_not_done_yet() {
        let rows = [
            state("postgres", Standing::Reached, "healthy", "  2.3 s"),
            state("redis", Standing::Unchanged, "unchanged", ""),
            state("umami", Standing::Waiting, "starting", ""),
            state("glitchtip-web", Standing::Waiting, "waiting", ""),
        ];
        let waiting = "  umami          starting\n  glitchtip-web  waiting";
        let few = size(40, 4);
        check(&rows, &[], few, &format!("  2 more are done\n{waiting}"));
        let fewer = size(40, 3);
        check(&rows, &[], fewer, "  and 3 more\n  umami          starting");
        let done = "  postgres       healthy      2.3 s\n  redis          unchanged";
        check(&rows, &[], size(40, 9), &format!("{done}\n{waiting}"));
    }

    proptest::proptest! {
        #[test]
        fn nothing_is_wider_or_higher_than_the_window(
            names in proptest::collection::vec("[a-z/:.…é]{0,60}", 0..12),
            done in 0..u64::MAX, of in 0..u64::MAX, columns in 20usize..200, lines in 3usize..40,
        ) {
            let size = size(columns, lines);
            let rows: Vec<Row> = names.iter().map(|name| loading(name, done, of)).collect();
            let width = name_width(&rows, size);
            let amount = Amount { done, total: of, certainty: Certainty::AtLeast };
            let speed = Speed { rate: done, left: Some(of) };
            let words = render_speed(speed, Certainty::AtLeast);
            let more = [render_amount(&format!("{:width$}", "total"), amount, &words, size)];
            let drawn = render_rows(&rows, &more, size);
            assert!(drawn.len() < lines.max(4), "{drawn:?}");
            for line in drawn {
                let line = anstream::adapter::strip_str(&line).to_string();
                assert!(line.chars().count() < columns, "{line:?}");
            }
        }
    }
}
