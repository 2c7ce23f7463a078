//! The whole output of each kind of run, as snapshots.

use std::fs;

use snapbox::{Assert, Data, Redactions, str};

use super::elevated::Guarded;
use super::{BLOCK, CLOUD_INIT, Machine, USERS};
use crate::checkout::Run;

/// Compares the whole output with a snapshot; `SNAPSHOTS=overwrite` takes the output for the new one.
#[track_caller]
fn matches(run: Run, machine: &Machine, expected: impl Into<Data>) {
    let mut redactions = Redactions::new();
    let root = fs::canonicalize(machine.checkout.root()).unwrap();
    redactions.insert("[ROOT]", root).unwrap();
    redactions.insert("[FILE]", machine.file.clone()).unwrap();
    for copy in machine.copies() {
        redactions.insert("[COPY]", copy).unwrap();
    }
    let Run {
        code,
        stdout,
        stderr,
    } = run;
    let all = format!(
        "exit code {}\n--- stdout\n{stdout}--- stderr\n{stderr}",
        code.unwrap()
    );
    Assert::new()
        .action_env("SNAPSHOTS")
        .redact_with(redactions)
        .eq(all, expected.into());
}

#[test]
fn the_output_of_adding_and_repeating() {
    let machine = Machine::new(USERS);
    matches(
        machine.hosts(&["--yes"]),
        &machine,
        str![[r#"
exit code 0
--- stdout
--- stderr
proposing a change to [FILE], at the end:
+ # >>> cargo xtask hosts >>>
+ 127.0.0.1 analytics.local errors.local
+ ::1 analytics.local errors.local
+ # <<< cargo xtask hosts <<<
keeping a copy of [FILE]: [COPY]
changed [FILE]: it maps analytics.local and errors.local to this machine

"#]],
    );
    matches(
        machine.hosts(&["--yes"]),
        &machine,
        str![[r#"
exit code 0
--- stdout
--- stderr
already up to date: [FILE] maps analytics.local and errors.local to this machine (line 5, 6)

"#]],
    );
}

#[test]
fn the_output_of_removing_and_repeating() {
    let machine = Machine::new(&(USERS.to_owned() + BLOCK));
    matches(
        machine.hosts(&["--remove", "--yes"]),
        &machine,
        str![[r#"
exit code 0
--- stdout
--- stderr
proposing a change to [FILE], line 4:
- # >>> cargo xtask hosts >>>
- 127.0.0.1 analytics.local errors.local
- ::1 analytics.local errors.local
- # <<< cargo xtask hosts <<<
keeping a copy of [FILE]: [COPY]
changed [FILE]: it has no block of cargo xtask hosts

"#]],
    );
    matches(
        machine.hosts(&["--remove", "--yes"]),
        &machine,
        str![[r#"
exit code 0
--- stdout
--- stderr
already up to date: [FILE] has no block of cargo xtask hosts

"#]],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "snapshots are long")]
fn the_output_of_check() {
    let machine = Machine::new(USERS);
    matches(
        machine.hosts(&["--check"]),
        &machine,
        str![[r#"
exit code 1
--- stdout
analytics.local does not resolve to this machine; run `cargo xtask hosts`
  [FILE]: no address
  system resolver: not asked, since it does not read this file
errors.local does not resolve to this machine; run `cargo xtask hosts`
  [FILE]: no address
  system resolver: not asked, since it does not read this file
--- stderr

"#]],
    );
    let machine = Machine::new(&(USERS.to_owned() + BLOCK));
    matches(
        machine.hosts(&["--check"]),
        &machine,
        str![[r#"
exit code 0
--- stdout
analytics.local resolves to this machine
  [FILE]: 127.0.0.1 (line 5), ::1 (line 6)
  system resolver: not asked, since it does not read this file
errors.local resolves to this machine
  [FILE]: 127.0.0.1 (line 5), ::1 (line 6)
  system resolver: not asked, since it does not read this file
--- stderr

"#]],
    );
    machine.checkout.write(
        ".env",
        "UMAMI_HOSTNAME=stats.example.com\nGLITCHTIP_DOMAIN=https://errors.local\n",
    );
    matches(
        machine.hosts(&["--check"]),
        &machine,
        str![[r#"
exit code 1
--- stdout
stats.example.com does not resolve to 127.0.0.1; a public name needs a DNS record, not the hosts file
  [FILE]: no address
  system resolver: not asked, since it does not read this file
errors.local resolves to this machine
  [FILE]: 127.0.0.1 (line 5), ::1 (line 6)
  system resolver: not asked, since it does not read this file
--- stderr

"#]],
    );
}

#[test]
fn the_output_for_public_names() {
    let machine = Machine::new(USERS);
    let write = |text: &str| machine.checkout.write(".env", text);
    write("UMAMI_HOSTNAME=stats.example.com\nGLITCHTIP_DOMAIN=https://errors.local\n");
    let print = machine.checkout.xtask(&["hosts", "--print"]);
    matches(
        print,
        &machine,
        str![[r#"
exit code 0
--- stdout
# >>> cargo xtask hosts >>>
127.0.0.1 errors.local
::1 errors.local
# <<< cargo xtask hosts <<<
--- stderr
leaving out stats.example.com: a public name needs a DNS record, not the hosts file

"#]],
    );
    write("UMAMI_HOSTNAME=stats.example.com\nGLITCHTIP_DOMAIN=https://errors.example.com\n");
    matches(
        machine.hosts(&["--yes"]),
        &machine,
        str![[r#"
exit code 0
--- stdout
--- stderr
leaving out stats.example.com: a public name needs a DNS record, not the hosts file
leaving out errors.example.com: a public name needs a DNS record, not the hosts file
nothing to do: no hostname in .env belongs in a hosts file

"#]],
    );
    assert_eq!(fs::read_to_string(&machine.file).unwrap(), USERS);
}

#[test]
fn the_output_of_print() {
    let machine = Machine::new(USERS);
    let print = machine.checkout.xtask(&["hosts", "--print"]);
    matches(
        print,
        &machine,
        str![[r#"
exit code 0
--- stdout
# >>> cargo xtask hosts >>>
127.0.0.1 analytics.local errors.local
::1 analytics.local errors.local
# <<< cargo xtask hosts <<<
--- stderr

"#]],
    );
}

#[test]
fn the_output_of_a_question_that_nobody_can_answer() {
    let machine = Machine::new(USERS);
    matches(
        machine.hosts(&[]),
        &machine,
        str![[r#"
exit code 1
--- stdout
--- stderr
proposing a change to [FILE], at the end:
+ # >>> cargo xtask hosts >>>
+ 127.0.0.1 analytics.local errors.local
+ ::1 analytics.local errors.local
+ # <<< cargo xtask hosts <<<
error: "Make this change?" was not answered: there is no terminal
  hint: to answer yes, repeat the command with --yes

"#]],
    );
}

#[test]
fn the_output_of_a_refusal() {
    let machine = Machine::new("10.0.0.1 errors.local\n");
    matches(
        machine.hosts(&["--yes"]),
        &machine,
        str![[r#"
exit code 1
--- stdout
--- stderr
error: [FILE]: line 1 maps errors.local to 10.0.0.1
  hint: delete line 1, or set another hostname than errors.local in `.env`

"#]],
    );
    let machine = Machine::new("# >>> cargo xtask hosts >>>\n");
    matches(
        machine.hosts(&["--yes"]),
        &machine,
        str![[r#"
exit code 1
--- stdout
--- stderr
error: [FILE]: line 1 begins a block of cargo xtask hosts that has no end
  hint: delete what is left of the block, or end it with the line `# <<< cargo xtask hosts <<<`

"#]],
    );
    machine
        .checkout
        .write(".env", "UMAMI_HOSTNAME=a b\nGLITCHTIP_DOMAIN=http://b\n");
    matches(
        machine.hosts(&["--yes"]),
        &machine,
        str![[r#"
exit code 1
--- stdout
--- stderr
error: deploy/analytics/.env, line 1: UMAMI_HOSTNAME: "a b" is not a hostname: it must consist of labels joined by single dots, each of at most 63 letters, digits and inner hyphens
  hint: set UMAMI_HOSTNAME in `.env` to another name

"#]],
    );
}

#[test]
fn the_output_with_cloud_init() {
    let machine = Machine::new(&(CLOUD_INIT.to_owned() + USERS));
    matches(
        machine.hosts(&["--yes"]),
        &machine,
        str![[r#"
exit code 0
--- stdout
--- stderr
proposing a change to [FILE], at the end:
+ # >>> cargo xtask hosts >>>
+ 127.0.0.1 analytics.local errors.local
+ ::1 analytics.local errors.local
+ # <<< cargo xtask hosts <<<
warning: cloud-init rewrites [FILE] at every boot, so this block will be lost at the next boot
  hint: add the block to its template too: `cargo xtask hosts --print | sudo tee -a /etc/cloud/templates/hosts.debian.tmpl`
keeping a copy of [FILE]: [COPY]
changed [FILE]: it maps analytics.local and errors.local to this machine

"#]],
    );
}

#[test]
fn the_output_of_a_refused_sudo() {
    let guarded = Guarded::new(USERS, "echo 'sudo: a password is required' >&2; exit 1");
    let run = Run::of(&mut guarded.command(&["--yes"]));
    matches(
        run,
        &guarded.machine,
        str![[r#"
exit code 3
--- stdout
--- stderr
proposing a change to [FILE], at the end:
+ # >>> cargo xtask hosts >>>
+ 127.0.0.1 analytics.local errors.local
+ ::1 analytics.local errors.local
+ # <<< cargo xtask hosts <<<
keeping a copy of [FILE]: [COPY]
running as administrator: sudo -n '[ROOT]/xtask' hosts-as-root --file '[FILE]' analytics.local errors.local
sudo: a password is required
error: changing the hosts file needs administrator rights: sudo refused to run that (exit status: 1)
  hint: run `sudo '[ROOT]/xtask' hosts-as-root --file '[FILE]' analytics.local errors.local`

"#]],
    );
}
