//! Whether cloud-init rewrites the hosts file at every boot, and what keeps our block there.
//!
//! Must never change cloud-init's files: it says what to type.

use crate::hosts::block::BEGIN;
use crate::hosts::edit::Wanted;
use crate::problem::Problem;

/// The first line of what cloud-init writes by its templates.
const HEADER: &str = "# Your system has configured 'manage_etc_hosts' as True.";
/// Before the path of the template, in one of the lines below.
const TEMPLATE: &str = "make changes to the master file in ";

/// cloud-init as the one who writes the hosts file.
#[derive(Debug, PartialEq)]
pub struct CloudInit {
    /// The file that it makes the hosts file of, where the hosts file says so.
    pub template: Option<String>,
}

/// Whether cloud-init rewrites a hosts file with this content at boot (its setting `manage_etc_hosts`
/// is `true`, or `template` of old; `localhost` only sets one line, by cloud-init 23.4).
///
/// `configuration` is the content of its files, of which a later one wins. Where none of them has the
/// setting, it may be in the user data, which only root can read; then the header in the file shows it.
pub fn detect(hosts: &[u8], configuration: &[String]) -> Option<CloudInit> {
    let hosts = String::from_utf8_lossy(hosts);
    let setting = configuration.iter().rev().find_map(|text| setting(text));
    let writes = setting.map_or_else(|| hosts.contains(HEADER), |value| rewrites(&value));
    writes.then(|| CloudInit {
        template: template(&hosts),
    })
}

fn setting(text: &str) -> Option<serde_yaml::Value> {
    let file: serde_yaml::Value = serde_yaml::from_str(text).ok()?;
    file.get("manage_etc_hosts").cloned()
}

/// As cloud-init reads it, by YAML 1.1.
fn rewrites(value: &serde_yaml::Value) -> bool {
    let words = ["true", "yes", "on", "1", "template"];
    match value.as_str() {
        Some(text) => words.contains(&text.to_lowercase().as_str()),
        None => value.as_bool() == Some(true) || value.as_u64() == Some(1),
    }
}

fn template(hosts: &str) -> Option<String> {
    let (_, rest) = hosts.split_once(TEMPLATE)?;
    let path = rest.lines().next()?.trim();
    // It goes into a command that someone will paste.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    (path.starts_with('/') && path.bytes().all(is_plain)).then(|| path.to_owned())
}

impl CloudInit {
    /// What will happen to the change that is `wanted` of `file`, unless the template, which says
    /// `template_text`, agrees.
    pub fn warning(&self, file: &str, wanted: &Wanted, template_text: &str) -> Option<Problem> {
        let is_in_template = template_text.contains(BEGIN);
        match (wanted, &self.template) {
            (Wanted::Mapped(_), _) if is_in_template => None,
            (Wanted::Mapped(_), template) => {
                let what = format!(
                    "cloud-init rewrites {file} at every boot, so this block will be lost at the next boot"
                );
                Some(Problem::new(what).hint(keep(template.as_deref())))
            }
            (Wanted::Removed, Some(template)) if is_in_template => {
                let what = format!(
                    "cloud-init rewrites {file} at every boot from {template}, which contains this block \
                     too, so it will be back after the next boot"
                );
                let begin_to_end = "/>>> cargo xtask hosts/,/<<< cargo xtask hosts/d";
                let hint =
                    format!("remove it there too: `sudo sed -i '{begin_to_end}' {template}`");
                Some(Problem::new(what).hint(hint))
            }
            (Wanted::Removed, _) => None,
        }
    }
}

fn keep(template: Option<&str>) -> String {
    match template {
        Some(template) => format!(
            "add the block to its template too: `cargo xtask hosts --print | sudo tee -a {template}`"
        ),
        None => "turn that off: `echo 'manage_etc_hosts: false' | sudo tee \
                 /etc/cloud/cloud.cfg.d/99-manage-etc-hosts.cfg`"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Debian 12 and Ubuntu 24.04 have it on a cloud's machine.
    const MANAGED: &str = "\
# Your system has configured 'manage_etc_hosts' as True.
# As a result, if you wish for changes to this file to persist
# then you will need to either
# a.) make changes to the master file in /etc/cloud/templates/hosts.debian.tmpl
# b.) change or remove the value of 'manage_etc_hosts' in
#     /etc/cloud/cloud.cfg or cloud-config from user-data
#
127.0.1.1 vm.example.com vm
127.0.0.1 localhost
";

    fn detected(hosts: &str, configuration: &[&str]) -> Option<CloudInit> {
        let configuration: Vec<String> =
            configuration.iter().map(|&text| text.to_owned()).collect();
        detect(hosts.as_bytes(), &configuration)
    }

    #[test]
    fn the_setting_decides_and_without_one_the_header() {
        let plain = "127.0.0.1 localhost\n";
        for (hosts, configuration, writes) in [
            (plain, &[][..], false),
            (MANAGED, &[], true),
            (plain, &["manage_etc_hosts: true\n"], true),
            (plain, &["users: []\nmanage_etc_hosts: True\n"], true),
            (plain, &["manage_etc_hosts: template\n"], true),
            (plain, &["manage_etc_hosts: yes\n"], true),
            (plain, &["manage_etc_hosts: localhost\n"], false),
            (plain, &["# manage_etc_hosts: true\n"], false),
            (plain, &["a:\n  manage_etc_hosts: true\n"], false),
            (MANAGED, &["manage_etc_hosts: false\n"], false),
            (MANAGED, &["manage_etc_hosts: localhost\n"], false),
            (MANAGED, &["users: []\n"], true),
            (MANAGED, &["", "no: [yaml"], true),
            // The last file wins.
            (
                plain,
                &["manage_etc_hosts: true", "manage_etc_hosts: false"],
                false,
            ),
            (
                plain,
                &["manage_etc_hosts: false", "manage_etc_hosts: true"],
                true,
            ),
        ] {
            let found = detected(hosts, configuration).is_some();
            assert_eq!(found, writes, "{hosts}{configuration:?}");
        }
    }

    #[test]
    fn the_template_is_the_one_that_the_file_names() {
        let template = |hosts: &str| {
            detected(hosts, &["manage_etc_hosts: true"])
                .unwrap()
                .template
        };
        let debian = "/etc/cloud/templates/hosts.debian.tmpl";
        assert_eq!(template(MANAGED).as_deref(), Some(debian));
        assert_eq!(
            template(&MANAGED.replace('\n', "\r\n")).as_deref(),
            Some(debian)
        );
        assert_eq!(template("127.0.0.1 localhost\n"), None);
        assert_eq!(template(&MANAGED.replace(debian, "/x; rm -r /")), None);
        assert_eq!(template(&MANAGED.replace(debian, "x")), None);
    }

    #[test]
    fn it_says_what_to_type_unless_the_template_agrees() {
        let cloud_init = detected(MANAGED, &[]).unwrap();
        let names = crate::hosts::hostname::from_settings("a.local", "b.local").unwrap();
        let block = crate::hosts::block::render(&names);
        let mapped = Wanted::Mapped(names);

        let warning = cloud_init.warning("/etc/hosts", &mapped, "").unwrap();
        assert_eq!(
            warning.what,
            "cloud-init rewrites /etc/hosts at every boot, so this block will be lost at the next boot"
        );
        assert_eq!(
            warning.hint.unwrap(),
            "add the block to its template too: \
             `cargo xtask hosts --print | sudo tee -a /etc/cloud/templates/hosts.debian.tmpl`"
        );
        assert_eq!(cloud_init.warning("/etc/hosts", &mapped, &block), None);

        assert_eq!(cloud_init.warning("/etc/hosts", &Wanted::Removed, ""), None);
        let warning = cloud_init
            .warning("/etc/hosts", &Wanted::Removed, &block)
            .unwrap();
        assert_eq!(
            warning.hint.unwrap(),
            "remove it there too: `sudo sed -i '/>>> cargo xtask hosts/,/<<< cargo xtask hosts/d' \
             /etc/cloud/templates/hosts.debian.tmpl`"
        );
    }

    #[test]
    fn without_a_template_it_says_how_to_turn_it_off() {
        let cloud_init = CloudInit { template: None };
        let names = crate::hosts::hostname::from_settings("a.local", "b.local").unwrap();
        let warning = cloud_init
            .warning("/etc/hosts", &Wanted::Mapped(names), "")
            .unwrap();
        let hint = warning.hint.unwrap();
        assert!(
            hint.contains("`echo 'manage_etc_hosts: false' | sudo tee /etc/cloud/"),
            "{hint}"
        );
    }
}
