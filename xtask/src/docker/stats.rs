//! How much memory a container uses, from what the engine's API says of it, as text.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::Deserialize;

/// Reads the answer of `/containers/ID/stats?stream=false&one-shot=true` (API 1.45, 2026-11-25): bytes in
/// use as `docker stats` counts them, without the part of the page cache that can go at once. `None` when
/// the container does not run.
///
/// # Errors
/// When it is no such answer.
pub fn parse_memory(json: &str) -> anyhow::Result<Option<u64>> {
    #[derive(Deserialize)]
    struct Statistics {
        memory_stats: Memory,
    }
    #[derive(Deserialize)]
    struct Memory {
        usage: Option<u64>,
        #[serde(default)]
        stats: BTreeMap<String, u64>,
    }
    let read: Statistics =
        serde_json::from_str(json).context("reading a container's statistics")?;
    let memory = read.memory_stats;
    // The first is cgroup v1's name, the second v2's; v1 has the second too, without child groups.
    let cache = ["total_inactive_file", "inactive_file"]
        .iter()
        .find_map(|name| memory.stats.get(*name))
        .copied()
        .unwrap_or(0);
    Ok(memory
        .usage
        .map(|usage| if cache < usage { usage - cache } else { usage }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_what_docker_stats_counts() {
        for (memory, wanted) in [
            (r#"{"usage":100,"stats":{"inactive_file":30}}"#, Some(70)),
            (
                r#"{"usage":100,"stats":{"inactive_file":30,"total_inactive_file":40}}"#,
                Some(60),
            ),
            (r#"{"usage":100,"stats":{"inactive_file":130}}"#, Some(100)),
            (r#"{"usage":100,"limit":512}"#, Some(100)),
            ("{}", None),
        ] {
            let json = format!(r#"{{"read":"2026-11-25T09:40:23Z","memory_stats":{memory}}}"#);
            assert_eq!(parse_memory(&json).unwrap(), wanted, "{memory}");
        }
        for json in [
            "",
            "[]",
            r#"{"message":"no such container"}"#,
            r#"{"memory_stats":7}"#,
        ] {
            assert!(parse_memory(json).is_err(), "{json}");
        }
    }
}
