//! Whether a port of this machine is free, and which process has it. Only looks.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

#[derive(Debug, PartialEq, Eq)]
pub enum Port {
    Free,
    /// Which process has it, where the system tells us.
    Taken(Option<Process>),
    /// The address is none of this machine's.
    NoSuchAddress,
}

/// A process of this machine.
#[derive(Debug, PartialEq, Eq)]
pub struct Process {
    pub name: String,
    pub pid: u32,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// Tries to listen for a moment. What else goes wrong is left to the engine, which may do more than we.
pub fn look(address: &str, port: u16) -> Port {
    let address: IpAddr = address.parse().unwrap_or(IpAddr::from([0, 0, 0, 0]));
    match TcpListener::bind((address, port)) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Port::Taken(holder(port)),
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => Port::NoSuchAddress,
        _ => Port::Free,
    }
}

/// Whether somebody accepts connections at an address. A firewall that swallows them counts as nobody.
pub fn is_answered(address: SocketAddr, patience: Duration) -> bool {
    TcpStream::connect_timeout(&address, patience).is_ok()
}

/// The process that listens on a port. Linux only, and of other users' processes only root is told.
fn holder(port: u16) -> Option<Process> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"]
        .map(|path| fs::read_to_string(path).unwrap_or_default());
    let socket = tables
        .iter()
        .flat_map(|table| table.lines())
        .find_map(|line| {
            // Columns of /proc/net/tcp (proc(5)): number, local address, remote address, state, …, inode.
            let columns: Vec<&str> = line.split_whitespace().collect();
            let local = columns.get(1)?.rsplit(':').next()?;
            let listens =
                columns.get(3) == Some(&"0A") && u16::from_str_radix(local, 16) == Ok(port);
            listens.then(|| format!("socket:[{}]", columns.get(9).unwrap_or(&"")))
        })?;
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        // `self` is among them too.
        let pid = process.file_name().to_str()?.parse().ok()?;
        let has_it = fs::read_dir(process.path().join("fd"))
            .ok()?
            .flatten()
            .any(|open| {
                fs::read_link(open.path())
                    .is_ok_and(|target| target.as_os_str().to_str() == Some(socket.as_str()))
            });
        let name = fs::read_to_string(process.path().join("comm"))
            .ok()
            .filter(|_| has_it)?;
        Some(Process {
            name: name.trim().to_owned(),
            pid,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_a_free_port_from_a_taken_one() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let Port::Taken(holder) = look("127.0.0.1", port) else {
            panic!("the port is ours")
        };
        if cfg!(target_os = "linux") {
            assert_eq!(holder.unwrap().pid, std::process::id());
        }
        drop(listener);
        assert_eq!(look("127.0.0.1", port), Port::Free);
        assert_eq!(look("198.51.100.7", port), Port::NoSuchAddress);
    }

    #[test]
    fn tells_whether_somebody_answers() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(is_answered(address, Duration::from_secs(5)));
        drop(listener);
        assert!(!is_answered(address, Duration::from_secs(5)));
    }
}
