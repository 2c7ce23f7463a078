//! Helper containers: one script or program each, gone when it ends; a script has no network.

use super::Docker;
use super::invocation::{Invocation, stderr_of};

/// The label of helper containers; its value is the project.
const TOOL_LABEL: &str = "xtask.tool";

/// What the engine sees at paths of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// At least one of them does not exist there.
    Nothing,
    /// All of them, as one tar archive.
    Archive(Vec<u8>),
    /// It did not say.
    Unknown,
}

impl Docker {
    /// What the engine has at `paths`, by a container that mounts them and is never started; `image` must
    /// be on the engine.
    ///
    /// # Errors
    /// When there is no docker.
    pub fn look_through_mounts(
        &self,
        project: &str,
        image: &str,
        paths: &[String],
    ) -> anyhow::Result<Seen> {
        let label = format!("{TOOL_LABEL}={project}");
        let create = ["create", "--pull", "never", "--network", "none"];
        let mut create = self.docker().args(create).args(["--label", &label]);
        for (number, path) in paths.iter().enumerate() {
            // A field of comma-separated values: quotes keep commas in it.
            let source = path.replace('"', "\"\"");
            let mount = format!("type=bind,\"source={source}\",target=/seen/{number},readonly");
            create = create.args(["--mount", &mount]);
        }
        let created = create.arg(image).text();
        let id = match created {
            Ok(id) => id.trim().to_owned(),
            Err(error) if stderr_of(&error).contains("bind source path does not exist") => {
                return Ok(Seen::Nothing);
            }
            Err(_) => return Ok(Seen::Unknown),
        };
        let copied = self.docker().args(["cp", &format!("{id}:/seen"), "-"]);
        let copied = copied.output();
        self.docker()
            .args(["rm", "--force", "--volumes", &id])
            .succeeds()?;
        match copied? {
            output if output.status.success() => Ok(Seen::Archive(output.stdout)),
            _ => Ok(Seen::Unknown),
        }
    }

    /// A helper container for one script of `sh`, without network unless `options`, those of `docker run`,
    /// name one. Its output is no log on the disk: it may be a whole database.
    pub fn tool(
        &self,
        (project, image): (&str, &str),
        script: &str,
        options: &[String],
    ) -> Invocation<'_> {
        let label = format!("{TOOL_LABEL}={project}");
        let has_network = options.iter().any(|option| option == "--network");
        let network: &[&str] = if has_network {
            &[]
        } else {
            &["--network", "none"]
        };
        self.docker()
            .args([
                "run",
                "--rm",
                // What Ctrl-C does to us reaches the script; as the first process it would be deaf to it.
                "--init",
                "--interactive",
                "--pull",
                "never",
            ])
            .args(network)
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

    /// A client program in a helper container, with the networks and variables that `options` say; it has
    /// 20 seconds.
    pub fn client(
        &self,
        (project, image): (&str, &str),
        options: &[String],
        command: &[&str],
    ) -> Invocation<'_> {
        let label = format!("{TOOL_LABEL}={project}");
        self.docker()
            .args([
                "run",
                "--rm",
                "--init",
                "--pull",
                "never",
                "--log-driver",
                "none",
            ])
            .args(["--security-opt", "no-new-privileges", "--user", "postgres"])
            .args(["--label", &label, "--entrypoint", "timeout"])
            .args(options)
            .args([image, "20"])
            .args(command)
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
