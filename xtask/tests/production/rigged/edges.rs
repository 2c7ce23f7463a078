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

fn head(site: &Site, options: &[&str], url: &str) -> Run {
    let mut curl = site.rig.lab("curl");
    curl.args(["--silent", "--show-error", "--noproxy", "*", "--head"]);
    Run::of(curl.args(options).arg(url))
}
