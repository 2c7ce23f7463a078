//! The members of `DATABASE=ha` as Patroni and etcd see them: what `cluster.sh` of the image prints. [pure]
//!
//! Patroni decides who is the primary; here is only read how it stands.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::{Deserialize, Serialize};

/// How many members there are, and how many etcd.
pub const MEMBERS: usize = 3;

/// What a member is at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Primary,
    /// A standby that has everything that was acknowledged, and may be promoted.
    Sync,
    Standby,
    /// It does not answer, or has no database yet.
    Unknown,
}

impl Role {
    pub fn word(self) -> &'static str {
        match self {
            Role::Primary => "primary",
            Role::Sync => "sync",
            Role::Standby => "standby",
            Role::Unknown => "unknown",
        }
    }
}

/// One of the three databases.
#[derive(Clone, Debug, Serialize)]
pub struct Member {
    /// `postgres-1`, which is also its service.
    pub name: String,
    pub role: Role,
    /// running, starting, creating replica, stopped, …; "does not answer".
    pub state: String,
    pub timeline: Option<u64>,
    /// Bytes that it has yet to receive from the primary; none for the primary, and where nobody knows.
    pub lag: Option<u64>,
    /// Whether the primary sends it everything at once.
    pub streams: bool,
}

impl Member {
    /// Its number, which is the value of its node's label.
    pub fn number(&self) -> &str {
        self.name.rsplit('-').next().unwrap_or_default()
    }

    /// Whether it does what it should: the primary leads, a standby streams.
    pub fn is_well(&self) -> bool {
        self.state == "running" && (self.role == Role::Primary || self.streams)
    }
}

/// One of the three etcd.
#[derive(Clone, Debug, Serialize)]
pub struct Etcd {
    pub name: String,
    /// Whether it is one of a majority.
    pub healthy: bool,
}

/// All of them.
#[derive(Clone, Debug, Serialize)]
pub struct Cluster {
    pub members: Vec<Member>,
    pub etcd: Vec<Etcd>,
}

/// What `cluster.sh` prints: for each member what its Patroni answers (3.0.2, 2026-11-30).
#[derive(Deserialize)]
struct Report {
    members: BTreeMap<String, Option<Answer>>,
    etcd: BTreeMap<String, bool>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    state: String,
    #[serde(default)]
    role: String,
    #[serde(default)]
    timeline: Option<u64>,
    #[serde(default)]
    xlog: Places,
    /// Of the primary: who gets what it writes.
    #[serde(default)]
    replication: Vec<Sender>,
    #[serde(default)]
    sync_standby: bool,
}

#[derive(Default, Deserialize)]
struct Places {
    location: Option<u64>,
    received_location: Option<u64>,
}

#[derive(Deserialize)]
struct Sender {
    #[serde(default)]
    application_name: String,
    #[serde(default)]
    state: Option<String>,
}

impl Answer {
    fn leads(&self) -> bool {
        matches!(self.role.as_str(), "master" | "primary") && self.state == "running"
    }
}

impl Cluster {
    /// Reads what `cluster.sh` prints.
    ///
    /// # Errors
    /// When it is something else.
    pub fn parse(printed: &str) -> anyhow::Result<Cluster> {
        let line = printed.lines().rfind(|line| line.starts_with('{'));
        let line = line.context("cluster.sh printed no line of JSON")?;
        let report: Report = serde_json::from_str(line).context("reading what Patroni answers")?;
        let leader = report.members.values().flatten().find(|it| it.leads());
        let member = |(name, answer): (&String, &Option<Answer>)| member(name, answer, leader);
        let etcd = report.etcd.into_iter();
        Ok(Cluster {
            members: report.members.iter().map(member).collect(),
            etcd: etcd.map(|(name, healthy)| Etcd { name, healthy }).collect(),
        })
    }

    /// The primary; none while there is none, or if two say that they are.
    pub fn leader(&self) -> Option<&Member> {
        match self.primaries().as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// Every member that says it is the primary: one, unless something is very wrong.
    pub fn primaries(&self) -> Vec<&Member> {
        let leads = |member: &&Member| member.role == Role::Primary;
        self.members.iter().filter(leads).collect()
    }

    /// The standbys that may be promoted without a loss.
    pub fn candidates(&self) -> Vec<&Member> {
        let can = |member: &&Member| member.role == Role::Sync && member.streams;
        self.members.iter().filter(can).collect()
    }

    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    /// Whether enough etcd agree on who is the primary.
    pub fn has_quorum(&self) -> bool {
        self.etcd.iter().filter(|etcd| etcd.healthy).count() > MEMBERS / 2
    }

    /// Whether any one machine may die now.
    pub fn is_well(&self) -> bool {
        self.leader().is_some()
            && self.members.len() == MEMBERS
            && self.members.iter().all(Member::is_well)
            && !self.candidates().is_empty()
            && self.etcd.iter().all(|etcd| etcd.healthy)
    }
}

fn member(name: &str, answer: &Option<Answer>, leader: Option<&Answer>) -> Member {
    let Some(answer) = answer else {
        return Member {
            name: name.to_owned(),
            role: Role::Unknown,
            state: "does not answer".to_owned(),
            timeline: None,
            lag: None,
            streams: false,
        };
    };
    let role = match answer.role.as_str() {
        _ if answer.leads() => Role::Primary,
        _ if answer.sync_standby => Role::Sync,
        "replica" => Role::Standby,
        _ => Role::Unknown,
    };
    let sent = leader.map_or(&[][..], |leader| &leader.replication);
    let is_sent = |sender: &Sender| {
        sender.application_name == name && sender.state.as_deref() == Some("streaming")
    };
    let written = leader.and_then(|leader| leader.xlog.location);
    let received = answer.xlog.received_location;
    Member {
        name: name.to_owned(),
        role,
        state: answer.state.clone(),
        timeline: answer.timeline,
        // Asked a moment later, it may have more than the primary had.
        lag: written
            .zip(received)
            .map(|(all, own)| all.saturating_sub(own)),
        streams: role != Role::Primary && sent.iter().any(is_sent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As printed by three members on the rig, shortened.
    const WELL: &str = r#"{"members":{
        "postgres-1":{"state":"running","role":"replica","xlog":{"received_location":900,"replayed_location":900,"paused":false},"timeline":2,"patroni":{"version":"3.0.2","scope":"analytics"}},
        "postgres-2":{"state":"running","role":"master","xlog":{"location":1000},"timeline":2,"replication":[
            {"usename":"replicator","application_name":"postgres-3","client_addr":"10.0.1.7","state":"streaming","sync_state":"sync","sync_priority":1},
            {"usename":"replicator","application_name":"postgres-1","client_addr":"10.0.1.6","state":"streaming","sync_state":"async","sync_priority":0}]},
        "postgres-3":{"state":"running","role":"replica","xlog":{"received_location":1008},"timeline":2,"sync_standby":true}},
        "etcd":{"etcd-1":true,"etcd-2":true,"etcd-3":true}}"#;

    fn parse(json: &str) -> Cluster {
        Cluster::parse(&json.replace('\n', "")).unwrap()
    }

    #[test]
    fn primary_and_standbys_are_known_by_role_lag_and_stream() {
        let cluster = parse(WELL);
        let rows = cluster.members.iter().map(|member| {
            let lag = member.lag.map_or("-".to_owned(), |lag| lag.to_string());
            let (name, role, streams) = (&member.name, member.role.word(), member.streams);
            format!("{name} {role} {lag} {streams}")
        });
        assert_eq!(
            rows.collect::<Vec<_>>(),
            [
                "postgres-1 standby 100 true",
                "postgres-2 primary - false",
                "postgres-3 sync 0 true"
            ]
        );
        assert_eq!(cluster.leader().unwrap().number(), "2");
        assert_eq!(cluster.candidates()[0].name, "postgres-3");
        assert!(cluster.is_well() && cluster.has_quorum());
    }

    #[test]
    fn a_member_that_stopped_streaming_or_does_not_answer_is_not_well() {
        #[track_caller]
        fn check(from: &str, to: &str, name: &str) {
            assert!(WELL.contains(from), "{from}");
            let cluster = parse(&WELL.replace(from, to));
            assert!(!cluster.is_well());
            assert!(!cluster.member(name).unwrap().is_well(), "{name}");
        }
        check(
            r#""state":"streaming","sync_state":"async""#,
            r#""state":"startup","sync_state":"async""#,
            "postgres-1",
        );
        check(
            r#""application_name":"postgres-3""#,
            r#""application_name":"pg_basebackup""#,
            "postgres-3",
        );
        let dead = WELL.replace(
            r#"{"state":"running","role":"replica","xlog":{"received_location":1008},"timeline":2,"sync_standby":true}"#,
            "null",
        );
        assert_ne!(dead, WELL);
        let cluster = parse(&dead);
        assert_eq!(cluster.members[2].state, "does not answer");
        assert!(cluster.candidates().is_empty() && cluster.leader().is_some());
    }

    #[test]
    fn two_primaries_are_no_leader_and_one_etcd_is_no_quorum() {
        let two = parse(&WELL.replace(
            r#""role":"replica","xlog":{"received_location":900"#,
            r#""role":"master","xlog":{"location":900"#,
        ));
        assert_eq!(two.primaries().len(), 2);
        assert!(two.leader().is_none() && !two.is_well());
        let alone =
            parse(&WELL.replace(r#"-1":true,"etcd-2":true"#, r#"-1":false,"etcd-2":false"#));
        assert!(!alone.has_quorum() && !alone.is_well());
        let stopped =
            r#"{"members":{"postgres-1":{"state":"stopped","role":"demoted"}},"etcd":{}}"#;
        assert_eq!(parse(stopped).members[0].role, Role::Unknown);
        assert!(Cluster::parse("nothing").is_err());
    }
}
