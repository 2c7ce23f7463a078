//! What differs between systems: where the hosts file is, and how a command gets the right to change it.
//!
//! Must never run a command, only say what it is.

use std::path::PathBuf;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// Linux, macOS and everything else that has `/etc/hosts` and `sudo`.
    Unix,
    /// Linux inside Windows, whose browser reads Windows' hosts file.
    Wsl,
    Windows,
}

impl Platform {
    /// From Rust's name for the system and, on Linux, the kernel's release: Microsoft's kernels name
    /// their maker (`5.15.153.1-microsoft-standard-WSL2`, `4.4.0-19041-Microsoft`).
    pub fn of(os: &str, kernel_release: &str) -> Platform {
        match os {
            "windows" => Platform::Windows,
            "linux" if kernel_release.to_ascii_lowercase().contains("microsoft") => Platform::Wsl,
            _ => Platform::Unix,
        }
    }

    /// The hosts file that the user's browser goes by. `system_root` is Windows' variable of that name.
    pub fn hosts_file(self, system_root: Option<&str>) -> PathBuf {
        match self {
            Platform::Unix => PathBuf::from("/etc/hosts"),
            Platform::Wsl => PathBuf::from("/mnt/c/Windows/System32/drivers/etc/hosts"),
            Platform::Windows => {
                let root = system_root.unwrap_or(r"C:\Windows").trim_end_matches('\\');
                PathBuf::from(format!(r"{root}\System32\drivers\etc\hosts"))
            }
        }
    }

    /// The hint where [`Platform::elevated`] was refused: what to run by hand.
    pub fn by_hand(self, command: &[String]) -> String {
        match self {
            Platform::Unix => format!("run `sudo {}`", render_command(command)),
            Platform::Wsl => format!(
                "open a WSL terminal as administrator and run `{}`",
                render_command(command)
            ),
            Platform::Windows => {
                let words: Vec<String> =
                    command.iter().map(|word| powershell_string(word)).collect();
                format!(
                    "open PowerShell as administrator and run `& {}`",
                    words.join(" ")
                )
            }
        }
    }

    /// The command that runs `command` with the right to change the hosts file. `distribution` is what
    /// WSL calls the Linux that we run in.
    pub fn elevated(
        self,
        command: &[String],
        prompt: Prompt,
        distribution: Option<&str>,
    ) -> Vec<String> {
        match self {
            Platform::Unix => prefixed(prompt.sudo(), command),
            // Root in Linux has no rights over Windows' files; an elevated wsl.exe has.
            Platform::Wsl => {
                let mut words = vec!["wsl.exe"];
                if let Some(name) = distribution {
                    words.extend(["--distribution", name]);
                }
                words.push("--exec");
                start_process("powershell.exe", &prefixed(&words, command))
            }
            Platform::Windows => start_process("powershell", command),
        }
    }
}

/// Whether sudo may ask for a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    Allowed,
    /// There is no terminal: sudo would fail after asking nobody.
    Never,
}

impl Prompt {
    fn sudo(self) -> &'static [&'static str] {
        match self {
            Prompt::Allowed => &["sudo"],
            Prompt::Never => &["sudo", "-n"],
        }
    }
}

fn prefixed(program: &[&str], command: &[String]) -> Vec<String> {
    let program = program.iter().map(|&word| word.to_owned());
    program.chain(command.iter().cloned()).collect()
}

/// PowerShell asks through UAC, waits, and hands on the exit code.
fn start_process(powershell: &str, command: &[String]) -> Vec<String> {
    // Start-Process joins its arguments with blanks and quotes none of them.
    let arguments: Vec<String> = command[1..]
        .iter()
        .map(|word| powershell_string(&format!("\"{word}\"")))
        .collect();
    let script = format!(
        "$p = Start-Process -Verb RunAs -Wait -PassThru -FilePath {} -ArgumentList {} -ErrorAction Stop; exit $p.exitcode",
        powershell_string(&command[0]),
        arguments.join(",")
    );
    [powershell, "-NoProfile", "-Command", &script]
        .map(str::to_owned)
        .to_vec()
}

fn powershell_string(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A command as it can be pasted into a shell.
pub fn render_command(command: &[String]) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:".contains(&byte);
    let quoted = command.iter().map(|word| {
        if !word.is_empty() && word.bytes().all(is_plain) {
            return word.clone();
        }
        format!("'{}'", word.replace('\'', r"'\''"))
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(os: &str, kernel_release: &str, platform: Platform, hosts_file: &str) {
        assert_eq!(Platform::of(os, kernel_release), platform);
        assert_eq!(platform.hosts_file(None).to_str(), Some(hosts_file));
    }

    #[test]
    fn knows_each_systems_hosts_file() {
        let windows = r"C:\Windows\System32\drivers\etc\hosts";
        let windows_from_wsl = "/mnt/c/Windows/System32/drivers/etc/hosts";
        check("linux", "6.1.0-18-amd64", Platform::Unix, "/etc/hosts");
        check(
            "linux",
            "5.15.153.1-microsoft-standard-WSL2",
            Platform::Wsl,
            windows_from_wsl,
        );
        check(
            "linux",
            "4.4.0-19041-Microsoft",
            Platform::Wsl,
            windows_from_wsl,
        );
        check("macos", "", Platform::Unix, "/etc/hosts");
        check("windows", "", Platform::Windows, windows);
        check("freebsd", "", Platform::Unix, "/etc/hosts");
        let elsewhere = Platform::Windows.hosts_file(Some(r"D:\Win\"));
        assert_eq!(
            elsewhere.to_str(),
            Some(r"D:\Win\System32\drivers\etc\hosts")
        );
    }

    fn elevated(platform: Platform, prompt: Prompt, command: &[&str]) -> Vec<String> {
        let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
        platform.elevated(&command, prompt, Some("Debian"))
    }

    #[test]
    fn asks_through_sudo_only_where_someone_can_answer() {
        assert_eq!(
            elevated(Platform::Unix, Prompt::Allowed, &["/x", "a b"]),
            ["sudo", "/x", "a b"]
        );
        assert_eq!(
            elevated(Platform::Unix, Prompt::Never, &["/x", "a b"]),
            ["sudo", "-n", "/x", "a b"]
        );
    }

    #[test]
    fn asks_through_uac_on_windows_and_in_wsl() {
        let script = "$p = Start-Process -Verb RunAs -Wait -PassThru -FilePath 'C:\\it''s\\x.exe' \
                      -ArgumentList '\"hosts-as-root\"','\"a b\"' -ErrorAction Stop; exit $p.exitcode";
        let windows = elevated(
            Platform::Windows,
            Prompt::Allowed,
            &[r"C:\it's\x.exe", "hosts-as-root", "a b"],
        );
        assert_eq!(windows, ["powershell", "-NoProfile", "-Command", script]);

        let script = "$p = Start-Process -Verb RunAs -Wait -PassThru -FilePath 'wsl.exe' \
                      -ArgumentList '\"--distribution\"','\"Debian\"','\"--exec\"','\"/x\"','\"a\"' \
                      -ErrorAction Stop; exit $p.exitcode";
        let wsl = elevated(Platform::Wsl, Prompt::Never, &["/x", "a"]);
        assert_eq!(wsl, ["powershell.exe", "-NoProfile", "-Command", script]);
    }

    #[test]
    fn says_what_to_run_by_hand() {
        let command = ["/it's/x", "hosts-as-root"].map(str::to_owned);
        assert_eq!(
            Platform::Unix.by_hand(&command),
            r"run `sudo '/it'\''s/x' hosts-as-root`"
        );
        assert!(
            Platform::Wsl
                .by_hand(&command)
                .ends_with(r"run `'/it'\''s/x' hosts-as-root`")
        );
        assert!(
            Platform::Windows
                .by_hand(&command)
                .ends_with(r"run `& '/it''s/x' 'hosts-as-root'`")
        );
    }
}
