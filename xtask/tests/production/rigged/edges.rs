//! The edge of one node, with a certificate that an authority gave to the committed files.

use crate::checkout::Run;
use crate::site::Site;

const CERTIFICATE_PROBLEM: i32 = 60;

/// Nobody is served without TLS, and the certificates are those of the ACME server.
pub fn the_authority_vouches_for_both_names(site: &Site) {
    let acme = site.rig.variable("RIG_ACME_CA");
    let other = site.rig.variable("RIG_CA");
    for name in ["analytics.rig.test", "errors.rig.test"] {
        let secure = head(site, &["--cacert", &acme], &format!("https://{name}/"));
        let secure = secure.success().stdout.to_lowercase();
        let kept = "strict-transport-security: max-age=31536000";
        assert!(secure.contains(kept), "{name}: {secure}");
        head(site, &["--cacert", &other], &format!("https://{name}/")).code(CERTIFICATE_PROBLEM);

        let plain = head(site, &[], &format!("http://{name}/page?of=it"));
        let plain = plain.success().stdout.to_lowercase();
        let moved = format!("location: https://{name}/page?of=it");
        assert!(
            plain.starts_with("http/1.1 308") && plain.contains(&moved),
            "{plain}"
        );
    }
}

/// As the command in the README sends it, not taken for a bot's; and so is all that `verify` sends.
#[track_caller]
pub fn the_first_event_is_stored(site: &Site) {
    let readme = site.read("README.md");
    let command = readme
        .lines()
        .find_map(|it| it.strip_prefix("    $ curl --user-agent"));
    let command = command.expect("the first event in the README");
    let mut shell = site.rig.lab("sh");
    for key in ["UMAMI_WEBSITE_ID", "SITE_DOMAIN", "UMAMI_HOSTNAME"] {
        shell.env(key, site.variable(key));
    }
    shell
        .env("CURL_CA_BUNDLE", site.rig.variable("RIG_ACME_CA"))
        .env("no_proxy", "*");
    let sent = Run::of(shell.args([
        "-ec",
        &format!("curl --silent --show-error --user-agent{command}"),
    ]));
    let answer = sent.success().stdout;
    assert!(answer.contains("\"cache\""), "{answer}");
    let stored = "select count(*) from website_event where url_path = '/first'";
    assert_eq!(site.sql("umami_db", stored), "1");
    let verify = site.production(&["verify"]).success().stdout;
    assert!(verify.contains("all 18 steps passed"), "{verify}");
}

fn head(site: &Site, options: &[&str], url: &str) -> Run {
    let mut curl = site.rig.lab("curl");
    curl.args(["--silent", "--show-error", "--noproxy", "*", "--head"]);
    Run::of(curl.args(options).arg(url))
}
