//! How far the download of an image is, from what the engine tells of it. Must never ask it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::terminal::progress::layout::{Amount, Certainty};

/// One thing that the engine tells while it pulls (API 1.45, 2026-11-25).
#[derive(Debug, Default, Deserialize)]
pub struct Message {
    #[serde(default)]
    status: String,
    /// A layer's; a tag where it is about the image.
    #[serde(default)]
    id: String,
    #[serde(rename = "progressDetail", default)]
    detail: Option<Detail>,
    /// Why it ends here.
    #[serde(default)]
    pub error: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Detail {
    #[serde(default)]
    current: Option<u64>,
    #[serde(default)]
    total: Option<u64>,
}

/// Reads a line of what the engine tells.
///
/// # Errors
/// When it is no message.
pub fn parse_message(line: &str) -> serde_json::Result<Message> {
    serde_json::from_str(line)
}

/// The layers of an image that is being pulled.
#[derive(Debug, Default)]
pub struct Download {
    layers: BTreeMap<String, Layer>,
    outcome: Outcome,
}

/// What a pull was good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    #[default]
    Newer,
    /// The engine had this image already.
    UpToDate,
}

#[derive(Clone, Copy, Debug, Default)]
struct Layer {
    done: u64,
    total: u64,
    step: Step,
}

/// How far a layer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// Its size is not known.
    #[default]
    Announced,
    /// It broke off, and begins anew after a pause.
    Retrying,
    Downloading,
    Downloaded,
    /// It is in its place.
    Complete,
}

/// How far an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is known yet.
    Waiting,
    Downloading(Amount),
    /// It broke off, and begins anew after a pause.
    Retrying,
    /// All is here and being unpacked.
    Extracting,
    /// Every layer was here before.
    Present,
}

impl Download {
    pub fn take(&mut self, message: &Message) {
        if message.status.starts_with("Status: Image is up to date") {
            self.outcome = Outcome::UpToDate;
        }
        let Some(step) = step(&message.status) else {
            return;
        };
        let layer = self.layers.entry(message.id.clone()).or_default();
        let detail = message.detail.as_ref();
        match step {
            Step::Downloading => {
                layer.done = detail.and_then(|it| it.current).unwrap_or(0);
                layer.total = detail.and_then(|it| it.total).unwrap_or(0).max(layer.done);
            }
            Step::Announced | Step::Retrying => layer.done = 0,
            Step::Downloaded | Step::Complete => layer.done = layer.total,
        }
        layer.step = step;
    }

    /// What it was good for, once it has ended.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    pub fn phase(&self) -> Phase {
        let amount = sum([self]);
        let is_retrying = |layer: &Layer| layer.step == Step::Retrying;
        let is_at_least = |step| self.layers.values().all(|layer| layer.step >= step);
        match amount.total {
            _ if self.layers.is_empty() => Phase::Waiting,
            _ if self.layers.values().any(is_retrying) => Phase::Retrying,
            0 if is_at_least(Step::Complete) => Phase::Present,
            _ if is_at_least(Step::Downloaded) => Phase::Extracting,
            0 => Phase::Waiting,
            _ => Phase::Downloading(amount),
        }
    }
}

/// How much there is of several images; a layer that they share counts once.
pub fn sum<'a>(downloads: impl IntoIterator<Item = &'a Download>) -> Amount {
    let mut layers: BTreeMap<&str, Layer> = BTreeMap::new();
    let mut certainty = Certainty::Exact;
    for (id, layer) in downloads.into_iter().flat_map(|it| &it.layers) {
        let known = layers.entry(id).or_default();
        if layer.total >= known.total {
            *known = *layer;
        }
        if layer.step == Step::Announced && layer.total == 0 {
            certainty = Certainty::AtLeast;
        }
    }
    let sum = |bytes: fn(&Layer) -> u64| layers.values().map(bytes).fold(0, u64::saturating_add);
    Amount {
        done: sum(|layer| layer.done),
        total: sum(|layer| layer.total),
        certainty,
    }
}

/// What a status means for a layer; `None` for what is not about one.
fn step(status: &str) -> Option<Step> {
    match status {
        "Pulling fs layer" | "Waiting" => Some(Step::Announced),
        "Downloading" => Some(Step::Downloading),
        "Verifying Checksum" | "Download complete" | "Extracting" => Some(Step::Downloaded),
        "Pull complete" | "Already exists" => Some(Step::Complete),
        _ if status.starts_with("Retrying in ") => Some(Step::Retrying),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The phase after each line.
    fn phases(lines: &[&str]) -> Vec<Phase> {
        let mut download = Download::default();
        let mut take = |line: &&str| {
            download.take(&parse_message(line).unwrap());
            download.phase()
        };
        lines.iter().map(&mut take).collect()
    }

    fn downloading(done: u64, total: u64, certainty: Certainty) -> Phase {
        Phase::Downloading(Amount {
            done,
            total,
            certainty,
        })
    }

    #[test]
    fn a_download_is_told_by_its_layers() {
        use Certainty::{AtLeast, Exact};
        let told = [
            (
                r#"{"status":"Pulling from umami","id":"3"}"#,
                Phase::Waiting,
            ),
            (
                r#"{"status":"Already exists","progressDetail":{},"id":"a"}"#,
                Phase::Present,
            ),
            (
                r#"{"status":"Pulling fs layer","progressDetail":{},"id":"b"}"#,
                Phase::Waiting,
            ),
            (
                r#"{"status":"Pulling fs layer","progressDetail":{},"id":"c"}"#,
                Phase::Waiting,
            ),
            (
                r#"{"status":"Downloading","progressDetail":{"current":10,"total":100},"progress":"[> ]","id":"b"}"#,
                downloading(10, 100, AtLeast),
            ),
            (
                r#"{"status":"Downloading","progressDetail":{"current":1,"total":50},"id":"c"}"#,
                downloading(11, 150, Exact),
            ),
            (
                r#"{"status":"Verifying Checksum","progressDetail":{},"id":"b"}"#,
                downloading(101, 150, Exact),
            ),
            (
                r#"{"status":"Retrying in 5 seconds","progressDetail":{},"id":"c"}"#,
                Phase::Retrying,
            ),
            (
                r#"{"status":"Download complete","progressDetail":{},"id":"c"}"#,
                Phase::Extracting,
            ),
            (
                r#"{"status":"Extracting","progressDetail":{"current":1,"units":"s"},"id":"b"}"#,
                Phase::Extracting,
            ),
            (
                r#"{"status":"Pull complete","progressDetail":{},"id":"b"}"#,
                Phase::Extracting,
            ),
            (r#"{"status":"Digest: sha256:00"}"#, Phase::Extracting),
        ];
        let (lines, wanted): (Vec<&str>, Vec<Phase>) = told.into_iter().unzip();
        assert_eq!(phases(&lines), wanted);
    }

    #[test]
    fn a_layer_that_images_share_counts_once() {
        let mut downloads = [Download::default(), Download::default()];
        for (download, ids) in downloads.iter_mut().zip([["a", "b"], ["a", "c"]]) {
            for id in ids {
                let line = format!(
                    r#"{{"status":"Downloading","progressDetail":{{"current":5,"total":10}},"id":"{id}"}}"#
                );
                download.take(&parse_message(&line).unwrap());
            }
        }
        let amount = sum(&downloads);
        assert_eq!((amount.done, amount.total), (15, 30));
    }

    #[test]
    fn an_error_ends_it() {
        let line = r#"{"errorDetail":{"message":"unexpected EOF"},"error":"unexpected EOF"}"#;
        assert_eq!(
            parse_message(line).unwrap().error.as_deref(),
            Some("unexpected EOF")
        );
        assert!(parse_message("<html>").is_err());
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_is_told_makes_it_panic(
            told in proptest::collection::vec((0usize..8, "[a-c]", 0..u64::MAX / 8, 0..u64::MAX / 8), 0..40),
        ) {
            let statuses = ["Pulling fs layer", "Waiting", "Downloading", "Verifying Checksum",
                "Download complete", "Extracting", "Pull complete", "Retrying in 1 second"];
            let mut download = Download::default();
            for (status, id, current, total) in told {
                let detail = Some(Detail { current: Some(current), total: Some(total) });
                let status = statuses[status].to_owned();
                download.take(&Message { status, id, detail, error: None });
                if let Phase::Downloading(amount) = download.phase() {
                    assert!(amount.done <= amount.total);
                }
            }
        }
    }
}
