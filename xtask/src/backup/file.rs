//! Backup files on disk: written part by part, read back with every byte checked. Never in memory as a whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, bail};
use hmac_sha256::Hash;

use crate::backup::manifest::{self as backup, BLOCK, END, MANIFEST, Manifest, Part, SUMS};
use crate::terminal::progress::Meter;

/// Parts one after another in a file.
pub struct Archive {
    file: File,
    pub parts: BTreeMap<String, Part>,
    /// Where the content of each part begins.
    offsets: BTreeMap<String, u64>,
    /// Whether every byte has been compared with its checksum.
    is_checked: bool,
}

impl Archive {
    /// An archive that goes into an empty file.
    pub fn write_to(file: File) -> Archive {
        Archive {
            file,
            parts: BTreeMap::new(),
            offsets: BTreeMap::new(),
            is_checked: false,
        }
    }

    /// Adds what `content` delivers until its end.
    pub fn add(&mut self, name: &str, content: &mut impl Read) -> anyhow::Result<()> {
        let doing = || format!("writing {name} to the backup");
        let mut meter = Meter::new(name);
        let begin = self.file.seek(SeekFrom::End(0)).with_context(doing)?;
        self.file
            .write_all(&backup::render_header(name, 0))
            .with_context(doing)?;
        let mut hash = Hash::new();
        let size = copy(content, &mut self.file, &mut meter, |bytes| {
            hash.update(bytes);
        })
        .with_context(doing)?;
        let sha256 = hex(&hash.finalize());
        let zeros = [0; BLOCK as usize];
        self.file
            .write_all(&zeros[..backup::padding(size)])
            .with_context(doing)?;
        self.file.seek(SeekFrom::Start(begin)).with_context(doing)?;
        self.file
            .write_all(&backup::render_header(name, size))
            .with_context(doing)?;
        self.offsets.insert(name.to_owned(), begin + BLOCK);
        self.parts.insert(name.to_owned(), Part { size, sha256 });
        meter.finish();
        Ok(())
    }

    /// How many bytes these parts have together.
    pub fn size(&self, names: &[&str]) -> u64 {
        let parts = names.iter().filter_map(|name| self.parts.get(*name));
        parts.map(|part| part.size).sum()
    }

    /// Takes the part that was added last out again.
    pub fn discard(&mut self, name: &str) -> anyhow::Result<()> {
        self.parts.remove(name);
        if let Some(offset) = self.offsets.remove(name) {
            let cut = self.file.set_len(offset - BLOCK);
            cut.with_context(|| format!("taking {name} out of the backup"))?;
        }
        Ok(())
    }

    /// Adds the manifest and the checksums; then the file is whole.
    pub fn finish(&mut self, manifest: &Manifest) -> anyhow::Result<()> {
        let text = format!("{}\n", serde_json::to_string_pretty(manifest)?);
        let sha256 = hex(&Hash::hash(text.as_bytes()));
        let mut parts = self.parts.clone();
        parts.insert(
            MANIFEST.to_owned(),
            Part {
                size: text.len() as u64,
                sha256,
            },
        );
        let mut end = Vec::new();
        for (name, text) in [(MANIFEST, text), (SUMS, backup::render_sums(&parts))] {
            let size = text.len() as u64;
            end.extend(backup::render_header(name, size));
            end.extend(text.as_bytes());
            end.resize(end.len() + backup::padding(size), 0);
        }
        end.extend(END);
        let written = self
            .file
            .seek(SeekFrom::End(0))
            .and_then(|_| self.file.write_all(&end));
        written.context("writing the end of the backup")
    }

    /// Writes the content of a part to `to`.
    ///
    /// # Errors
    /// Also when it is not what its checksum says, unless [`open_checked`] has just found that it is.
    pub fn send(
        &mut self,
        name: &str,
        to: &mut dyn Write,
        meter: &mut Meter,
    ) -> anyhow::Result<()> {
        let (Some(&offset), Some(part)) = (self.offsets.get(name), self.parts.get(name)) else {
            bail!("there is no {name} in it");
        };
        self.file
            .seek(SeekFrom::Start(offset))
            .with_context(|| format!("reading {name}"))?;
        let mut hash = (!self.is_checked).then(Hash::new);
        let see = |bytes: &[u8]| hash.iter_mut().for_each(|hash| hash.update(bytes));
        let size = copy((&mut self.file).take(part.size), to, meter, see)
            .with_context(|| format!("reading {name}"))?;
        if size != part.size || hash.is_some_and(|hash| hex(&hash.finalize()) != part.sha256) {
            bail!("{name} is damaged: its checksum is not what it was when it was saved");
        }
        Ok(())
    }

    /// Writes parts to `to` as a tar.
    pub fn send_tar(
        &mut self,
        names: &[&str],
        to: &mut dyn Write,
        meter: &mut Meter,
    ) -> anyhow::Result<()> {
        let doing = "writing to a container";
        for &name in names {
            let size = self
                .parts
                .get(name)
                .with_context(|| format!("there is no {name} in it"))?
                .size;
            to.write_all(&backup::render_header(name, size))
                .context(doing)?;
            self.send(name, to, meter)?;
            to.write_all(&END[..backup::padding(size)]).context(doing)?;
        }
        to.write_all(&END).context(doing)
    }
}

/// Opens a finished backup and reads its manifest; what the parts hold is not looked at.
///
/// # Errors
/// Each way in which a file is no whole backup of ours has its own message.
pub fn open(path: &Path) -> anyhow::Result<(Archive, Manifest)> {
    let mut archive = index(path)?;
    let manifest = read_manifest(&mut archive)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name != manifest.name {
        bail!(
            "it was saved as {}, and is called {name} now; give it its name back",
            manifest.name
        );
    }
    archive.parts.remove(MANIFEST);
    archive.parts.remove(SUMS);
    let names = |parts: &BTreeMap<String, Part>| {
        parts
            .iter()
            .map(|(n, p)| (n.clone(), p.size))
            .collect::<Vec<_>>()
    };
    if names(&archive.parts) != names(&manifest.parts) {
        bail!("it is damaged: its parts are not those of its manifest");
    }
    archive.parts.clone_from(&manifest.parts);
    Ok((archive, manifest))
}

/// [`open`], with every byte of the file checked.
pub fn open_checked(path: &Path) -> anyhow::Result<(Archive, Manifest)> {
    let mut archive = index(path)?;
    let total = archive.parts.values().map(|part| part.size).sum();
    let mut meter = Meter::of("checking", total);
    let mut found = BTreeMap::new();
    let names: Vec<String> = archive.parts.keys().cloned().collect();
    for name in names.iter().filter(|name| *name != SUMS) {
        let (offset, size) = (archive.offsets[name], archive.parts[name].size);
        let doing = || format!("reading {}", path.display());
        archive
            .file
            .seek(SeekFrom::Start(offset))
            .with_context(doing)?;
        let mut hash = Hash::new();
        let see = |bytes: &[u8]| hash.update(bytes);
        copy(
            (&mut archive.file).take(size),
            &mut io::sink(),
            &mut meter,
            see,
        )
        .with_context(doing)?;
        found.insert(
            name.clone(),
            Part {
                size,
                sha256: hex(&hash.finalize()),
            },
        );
    }
    meter.finish();
    let sums = read_text(&mut archive, SUMS)?;
    if let Some(damaged) = backup::render_sums(&found)
        .lines()
        .find(|line| !sums.lines().any(|sum| sum == *line))
    {
        let name = damaged.split_once("  ").map_or(damaged, |(_, name)| name);
        bail!("{name} is damaged: its checksum is not what it was when it was saved");
    }
    if sums != backup::render_sums(&found) {
        bail!("{SUMS} is damaged");
    }
    let (mut archive, manifest) = open(path)?;
    archive.is_checked = true;
    found.remove(MANIFEST);
    if manifest.parts != found {
        bail!("it is damaged: its parts are not those of its manifest");
    }
    Ok((archive, manifest))
}

/// Walks over the parts.
fn index(path: &Path) -> anyhow::Result<Archive> {
    let doing = || format!("reading {}", path.display());
    let file = File::open(path).with_context(doing)?;
    let length = file.metadata().with_context(doing)?.len();
    let mut archive = Archive::write_to(file);
    let mut at = 0;
    while let Some((name, size)) = archive.read_header(at, length)? {
        at += BLOCK;
        archive.offsets.insert(name.clone(), at);
        archive.parts.insert(
            name,
            Part {
                size,
                sha256: String::new(),
            },
        );
        at = archive.read_padding(at.saturating_add(size), size, length)?;
    }
    if !archive.parts.contains_key(MANIFEST) || !archive.parts.contains_key(SUMS) {
        bail!("it has no manifest, so it is no backup made by `cargo xtask backup`");
    }
    archive.read_end(length)?;
    Ok(archive)
}

fn truncated(length: u64) -> anyhow::Error {
    anyhow::anyhow!("it is truncated: only {length} bytes are there")
}

impl Archive {
    /// The name and size of the part whose header is at `at`; `None` at the end of all parts.
    fn read_header(&mut self, at: u64, length: u64) -> anyhow::Result<Option<(String, u64)>> {
        let is_first = self.parts.is_empty();
        if at + BLOCK > length {
            if is_first {
                bail!(NO_BACKUP);
            }
            return Err(truncated(length));
        }
        let mut header = [0; BLOCK as usize];
        self.file.seek(SeekFrom::Start(at)).context("reading it")?;
        self.file.read_exact(&mut header).context("reading it")?;
        match backup::parse_header(&header) {
            Ok(part) => Ok(part),
            Err(_) if is_first => bail!(NO_BACKUP),
            Err(reason) => bail!("it is damaged: {reason}, at byte {at}"),
        }
    }

    /// Checks that nothing but zeros follows a part of this size, which ends at `at`; returns where the next
    /// header is.
    fn read_padding(&mut self, at: u64, size: u64, length: u64) -> anyhow::Result<u64> {
        if at > length {
            return Err(truncated(length));
        }
        let mut zeros = vec![0; backup::padding(size)];
        self.file.seek(SeekFrom::Start(at)).context("reading it")?;
        if self.file.read_exact(&mut zeros).is_err() {
            return Err(truncated(length));
        }
        if zeros.iter().any(|&byte| byte != 0) {
            bail!("it is damaged: something stands between its parts, at byte {at}");
        }
        Ok(at + zeros.len() as u64)
    }

    /// Checks that the second block of zeros is the last of the file.
    fn read_end(&mut self, length: u64) -> anyhow::Result<()> {
        let mut rest = Vec::new();
        Read::by_ref(&mut self.file)
            .take(BLOCK + 1)
            .read_to_end(&mut rest)
            .context("reading it")?;
        match rest.len() as u64 {
            0..BLOCK => Err(truncated(length)),
            BLOCK if rest.iter().all(|&byte| byte == 0) => Ok(()),
            _ => bail!("it is damaged: something follows its end"),
        }
    }
}

const NO_BACKUP: &str = "it is no backup made by `cargo xtask backup`";

fn read_manifest(archive: &mut Archive) -> anyhow::Result<Manifest> {
    Manifest::parse(&read_text(archive, MANIFEST)?).map_err(anyhow::Error::msg)
}

fn read_text(archive: &mut Archive, name: &str) -> anyhow::Result<String> {
    let (offset, size) = (archive.offsets[name], archive.parts[name].size);
    if size > 64 * 1024 * 1024 {
        bail!("{name} is damaged");
    }
    let mut bytes = vec![0; size as usize];
    let read = archive
        .file
        .seek(SeekFrom::Start(offset))
        .and_then(|_| archive.file.read_exact(&mut bytes));
    read.with_context(|| format!("reading {name}"))?;
    String::from_utf8(bytes).with_context(|| format!("{name} is damaged"))
}

/// Copies everything, and shows each byte to `see`; returns how many there were.
fn copy(
    mut from: impl Read,
    to: &mut (impl Write + ?Sized),
    meter: &mut Meter,
    mut see: impl FnMut(&[u8]),
) -> io::Result<u64> {
    let mut buffer = vec![0; 128 * 1024];
    let mut size = 0;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(size),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        see(&buffer[..read]);
        to.write_all(&buffer[..read])?;
        size += read as u64;
        meter.add(read);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
