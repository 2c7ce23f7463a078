//! Helper containers: one script each, without network, gone when it ends.

use super::Docker;
use super::invocation::Invocation;

/// The label of helper containers; its value is the project.
const TOOL_LABEL: &str = "xtask.tool";

impl Docker {
    /// A helper container for one script of `sh`. Its output is no log on the disk: it may be a whole
    /// database. `options` are those of `docker run`.
    pub fn tool(
        &self,
        (project, image): (&str, &str),
        script: &str,
        options: &[String],
    ) -> Invocation<'_> {
        let label = format!("{TOOL_LABEL}={project}");
        self.docker()
            .args([
                "run",
                "--rm",
                "--interactive",
                "--pull",
                "never",
                "--network",
                "none",
            ])
            .args([
                "--log-driver",
                "none",
                "--security-opt",
                "no-new-privileges",
            ])
            .args(["--label", &label, "--entrypoint", "sh"])
            .args(options)
            .args([image, "-c", script])
    }

    /// Removes the helper containers that a killed xtask left behind, with all that is in them.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn remove_tools(&self, project: &str) -> anyhow::Result<()> {
        let filter = format!("label={TOOL_LABEL}={project}");
        let list = ["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter];
        let ids = self.docker().args(list).text()?;
        if !ids.is_empty() {
            // One that has ended meanwhile removes itself.
            let _ = self
                .docker()
                .args(["rm", "--force", "--volumes"])
                .args(ids.lines())
                .text();
        }
        Ok(())
    }
}
