//! Numbers, times and tables as people read them.

use core::time::Duration;

/// Bytes as MiB or GiB.
pub fn render_bytes(bytes: u64) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    let mib = bytes as f64 / MIB;
    match mib {
        ..0.95 => format!("{} KiB", bytes / 1024),
        ..1024.0 => format!("{mib:.0} MiB"),
        _ => format!("{:.1} GiB", mib / 1024.0),
    }
}

/// Seconds as the two largest units: `3 d 4 h`, `5 min 2 s`.
pub fn render_duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Columns padded to their widest cell, two blanks between them, no blanks at a line's end.
pub fn render_table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut table = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:width$}"));
        table.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        table.push('\n');
    }
    table
}

/// A time since 1970 as a name for a file, sorted as time goes: `2026-11-22T170911.000042Z`.
pub fn render_file_timestamp(time: Duration) -> String {
    let text = render_timestamp(time.as_secs()).replace(':', "");
    format!(
        "{}.{:06}Z",
        text.trim_end_matches('Z'),
        time.subsec_micros()
    )
}

/// RFC 3339 in UTC of seconds since 1970.
pub fn render_timestamp(seconds: u64) -> String {
    // The civil calendar from days, with years that begin in March and eras of 400 of them.
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let march = (5 * day + 2) / 153;
    let (month, day) = (
        if march < 10 { march + 3 } else { march - 9 },
        day - (153 * march + 2) / 5 + 1,
    );
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Seconds since 1970 of an RFC 3339 time in UTC, fractions dropped: `2026-11-22T17:09:11.5Z`.
pub fn parse_timestamp(text: &str) -> Option<u64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    // Days from the civil calendar, with years that begin in March.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1;
    days.checked_sub(719_468)
        .map(|days| ((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_durations_read_well() {
        assert_eq!(render_bytes(24 * 1024 * 1024 + 1), "24 MiB");
        assert_eq!(render_bytes(2 * 1024 * 1024 * 1024), "2.0 GiB");
        assert_eq!(render_bytes(4096), "4 KiB");
        assert_eq!(render_duration(59), "59 s");
        assert_eq!(render_duration(62), "1 min 2 s");
        assert_eq!(render_duration(7_320), "2 h 2 min");
        assert_eq!(render_duration(93_600), "1 d 2 h");
    }

    #[test]
    fn reads_the_engine_s_times() {
        assert_eq!(parse_timestamp("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(
            parse_timestamp("2024-02-29T12:00:01.123456789Z"),
            Some(1_709_208_001)
        );
        assert_eq!(parse_timestamp("2026-11-22T17:09:11Z"), Some(1_795_367_351));
        assert_eq!(parse_timestamp("0001-01-01T00:00:00Z"), None);
        assert_eq!(parse_timestamp(""), None);
    }

    #[test]
    fn a_time_is_read_back_and_names_files() {
        assert_eq!(
            render_file_timestamp(Duration::from_micros(42)),
            "1970-01-01T000000.000042Z"
        );
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_369_349, "2026-11-22T17:42:29Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(render_timestamp(seconds), text);
            assert_eq!(parse_timestamp(text), Some(seconds));
            let name = render_file_timestamp(Duration::from_secs(seconds));
            assert_eq!(name, text.replace(':', "").replace('Z', ".000000Z"));
        }
    }

    #[test]
    fn a_table_has_no_blanks_at_a_line_s_end() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        assert_eq!(
            render_table(&[row(["A", "B"]), row(["long", ""])]),
            "A     B\nlong\n"
        );
    }
}
