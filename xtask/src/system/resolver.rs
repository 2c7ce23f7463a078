//! What the system's resolver answers.

use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// What the system's resolver answers for each hostname, in their order: nothing for one that it does
/// not know, or not within `patience`.
pub fn resolve(hostnames: impl Iterator<Item = String>, patience: Duration) -> Vec<Vec<IpAddr>> {
    let deadline = Instant::now() + patience;
    let questions: Vec<_> = hostnames.map(ask).collect();
    let left = || deadline.saturating_duration_since(Instant::now());
    questions
        .iter()
        .map(|receiver| receiver.recv_timeout(left()).unwrap_or_default())
        .collect()
}

fn ask(hostname: String) -> mpsc::Receiver<Vec<IpAddr>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let answers = (hostname, 0).to_socket_addrs();
        let answers = answers.map(|answers| answers.map(|answer| answer.ip()));
        let mut addresses: Vec<IpAddr> = answers.map(Iterator::collect).unwrap_or_default();
        addresses.sort();
        addresses.dedup();
        let _ = sender.send(addresses);
    });
    receiver
}
