//! What every PC should have: catalogue and wishes, ready to plan with.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use software::package::{Architecture, Label, System};
use software::plan::{Catalogue, CatalogueError, Device, Layer, LayerKey, Plan, Planner, Rank, Source};
use software::protocol::Rules;
use software::turn;

use super::{Entry, PcSoftware, SoftwareWish, Turns};
use crate::gate::Subject;
use crate::{Answer, Audience, Error, Inventory};

/// Catalogue and wishes at one moment.
#[derive(Debug)]
pub struct Book {
    catalogue: Arc<Catalogue>,
    planner: Planner,
    layers: Vec<(Audience, LayerKey)>,
    rules: HashMap<(System, Architecture), Arc<Rules>>,
}

impl Book {
    /// Brings entries and wishes together. `name` is what people call a room, group or device. Entries that contradict others are left
    /// out and come in the second list.
    #[must_use]
    pub fn new(
        entries: &[Entry],
        wishes: &[SoftwareWish],
        name: impl Fn(Audience) -> String,
    ) -> (Self, Vec<CatalogueError>) {
        let (catalogue, problems) = catalogue(entries);
        let catalogue = Arc::new(catalogue);
        let mut planner = Planner::new(catalogue.clone());
        let mut by_audience: BTreeMap<Audience, BTreeMap<_, _>> = BTreeMap::new();
        for wish in wishes {
            by_audience.entry(wish.audience).or_default().insert(wish.package.clone(), wish.wish.clone());
        }
        let layers = by_audience.into_iter().filter_map(|(audience, wishes)| {
            let source = source(audience, &name(audience))?;
            Some((audience, planner.layer(Layer { source, wishes })))
        });
        let layers = layers.collect();
        (Self { catalogue, planner, layers, rules: HashMap::new() }, problems)
    }

    /// How a PC of this kind looks for the programs that it could have.
    pub fn rules(&mut self, system: System, architecture: Architecture) -> Arc<Rules> {
        let made = self.rules.entry((system, architecture)).or_insert_with(|| {
            let rules = self.catalogue.rules(system, architecture);
            let written = serde_json::to_vec(&rules).unwrap_or_default();
            let digest = blake3::hash(&written).to_hex().chars().take(32).collect();
            Arc::new(Rules { digest, rules })
        });
        made.clone()
    }

    /// What is to be done on a PC.
    pub fn plan(&mut self, subject: &Subject, pc: &PcSoftware, turns: &Turns) -> Plan {
        let layers = self.layers.iter().filter(|(audience, _)| audience.includes(subject));
        let device = Device {
            system: pc.system,
            architecture: pc.architecture,
            layers: layers.map(|(_, key)| *key).collect(),
            observed: pc.observed.clone(),
            given_up: BTreeSet::new(),
        };
        turn::plan(&mut self.planner, &device, &turns.last)
    }
}

impl Inventory {
    /// What every PC should have at this moment. Rows and entries that make no sense come in the second list.
    ///
    /// # Errors
    /// The database failed.
    pub fn software_book(&self) -> Answer<'_, (Book, Vec<Error>)> {
        Box::pin(async move {
            let (entries, mut problems) = self.software_entries().await?;
            let (wishes, more) = self.software_wishes().await?;
            problems.extend(more);
            let names = self.audience_names().await?;
            let name = |audience| names.get(&audience).cloned().unwrap_or_default();
            let (book, contradictions) = Book::new(&entries, &wishes, name);
            problems.extend(contradictions.into_iter().map(|error| Error::Conflict(error.to_string())));
            Ok((book, problems))
        })
    }

    /// What people call rooms, groups and devices.
    ///
    /// # Errors
    /// The database failed.
    pub fn audience_names(&self) -> Answer<'_, HashMap<Audience, String>> {
        Box::pin(async move {
            let rooms = self.rooms().await?.into_iter().map(|room| (Audience::Room(room.id), room.name));
            let groups =
                self.groups().await?.into_iter().map(|group| (Audience::Group(group.id), group.name));
            let (devices, _) = self.devices().await?;
            let devices = devices.into_iter().map(|pc| (Audience::Device(pc.id), pc.name.to_string()));
            Ok(rooms.chain(groups).chain(devices).collect())
        })
    }
}

fn source(audience: Audience, name: &str) -> Option<Source> {
    let rank = match audience {
        Audience::School => Rank::School,
        Audience::Room(_) => Rank::Room,
        Audience::Group(_) => Rank::Group,
        Audience::Device(_) => Rank::Device,
    };
    let name: Label = if rank == Rank::School { "*".parse() } else { name.parse() }.ok()?;
    Some(Source { rank, name })
}

/// All entries that go together; of two that contradict each other the older one.
fn catalogue(entries: &[Entry]) -> (Catalogue, Vec<CatalogueError>) {
    let mut packages: Vec<_> = entries.iter().map(|entry| entry.package.as_ref().clone()).collect();
    let mut problems = Vec::new();
    loop {
        let error = match Catalogue::new(packages.clone()) {
            Ok(catalogue) => return (catalogue, problems),
            Err(error) => error,
        };
        let last = packages.iter().rposition(|package| match &error {
            CatalogueError::TooMany => true,
            CatalogueError::TooManyOf(id) => package.id == *id,
            CatalogueError::Twice { id, version } => package.id == *id && package.version == *version,
        });
        problems.push(error);
        match last {
            Some(last) => drop(packages.remove(last)),
            None => return (Catalogue::default(), problems),
        }
    }
}
