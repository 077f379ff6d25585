//! Volumes: an instance's root volume goes with it, all others stay until somebody deletes them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde::Serialize;

use crate::aws::Refusal;
use crate::aws::Site;
use crate::aws::Tags;
use crate::aws::ec2::Ec2;
use crate::aws::ec2::resource::Resource;
use crate::aws::ec2::resource::View;
use crate::aws::ec2::resource::describe;
use crate::aws::ec2::resource::done;
use crate::aws::ec2::resource::tags_at_creation;
use crate::aws::ec2::zones;
use crate::aws::iso;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::query::operation;
use crate::aws::xml::Xml;

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation(
        "CreateVolume",
        "AvailabilityZone! Size! VolumeType Encrypted ClientToken @tags",
        create_free,
    ),
    operation("DescribeVolumes", "VolumeId.# @filters @pages", describe::<Volume>),
    operation("DeleteVolume", "VolumeId!", delete),
];

/// The device that an instance starts from.
pub(super) const ROOT_DEVICE: &str = "/dev/xvda";

/// One volume.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Volume {
    pub(crate) id: String,
    pub(crate) gib: u32,
    pub(crate) zone: String,
    encrypted: bool,
    created: Timestamp,
    /// The instance that it is attached to, and as which device.
    pub(crate) attached: Option<(String, String)>,
    // A root volume.
    goes_with_instance: bool,
}

impl Volume {
    fn status(&self) -> &'static str {
        if self.attached.is_some() { "in-use" } else { "available" }
    }
}

impl Resource for Volume {
    const PREFIX: &'static str = "vol";
    const TYPE: &'static str = "volume";
    const IDS: &'static str = "VolumeId";
    const SET: &'static str = "volumeSet";
    const FILTERS: &'static [&'static str] = &[
        "attachment.device",
        "attachment.instance-id",
        "attachment.status",
        "availability-zone",
        "encrypted",
        "size",
        "status",
        "volume-id",
        "volume-type",
    ];

    fn all(ec2: &Ec2) -> &BTreeMap<String, Self> {
        &ec2.volumes
    }

    fn all_mut(ec2: &mut Ec2) -> &mut BTreeMap<String, Self> {
        &mut ec2.volumes
    }

    fn missing(id: &str) -> Refusal {
        Refusal::new("InvalidVolume.NotFound", format!("The volume '{id}' does not exist."))
    }

    fn facet(&self, _: &View<'_>, filter: &str) -> Vec<String> {
        match filter {
            "attachment.device" => self.attached.iter().map(|(_, device)| device.clone()).collect(),
            "attachment.status" => self.attached.iter().map(|_| "attached".to_owned()).collect(),
            "encrypted" => vec![self.encrypted.to_string()],
            "size" => vec![self.gib.to_string()],
            "attachment.instance-id" => self.attached.iter().map(|(instance, _)| instance.clone()).collect(),
            "availability-zone" => vec![self.zone.clone()],
            "status" => vec![self.status().to_owned()],
            "volume-id" => vec![self.id.clone()],
            _ => vec!["gp3".to_owned()],
        }
    }

    fn write(&self, view: &View<'_>, xml: &mut Xml) {
        xml.text("volumeId", &self.id)
            .text("size", self.gib)
            .text("snapshotId", "")
            .text("availabilityZone", &self.zone)
            .text("availabilityZoneId", zones::zone_id(&self.zone))
            .text("status", self.status())
            .text("createTime", iso(self.created))
            .list("attachmentSet", "item", &self.attached, |xml, (instance, device)| {
                xml.text("volumeId", &self.id)
                    .text("instanceId", instance)
                    .text("device", device)
                    .text("status", "attached")
                    .text("attachTime", iso(self.created))
                    .text("deleteOnTermination", self.goes_with_instance);
            })
            .text("volumeType", "gp3")
            .text("iops", 3000)
            .text("throughput", 125)
            .text("encrypted", self.encrypted)
            .text("multiAttachEnabled", false);
        view.tags(&self.id, xml);
    }
}

/// Writes the volumes of an instance.
pub(super) fn write_mappings(instance: &str, view: &View<'_>, xml: &mut Xml) {
    let attached = view.ec2.volumes.values().filter_map(|volume| {
        let (holder, device) = volume.attached.as_ref()?;
        (holder == instance).then_some((volume, device))
    });
    xml.list("blockDeviceMapping", "item", attached, |xml, (volume, device)| {
        xml.text("deviceName", device).element("ebs", |xml| {
            xml.text("volumeId", &volume.id)
                .text("status", "attached")
                .text("attachTime", iso(volume.created))
                .text("deleteOnTermination", volume.goes_with_instance);
        });
    });
}

/// Creates a volume that belongs to nobody, as the storage driver of a cluster does.
pub(crate) fn create(site: &mut Site<'_>, zone: &str, gib: u32, tags: Tags) -> String {
    keep(site, zone, gib, tags, None)
}

/// Creates the root volume of an instance.
pub(super) fn create_root(site: &mut Site<'_>, instance: &str, zone: &str, gib: u32, tags: Tags) {
    keep(
        site,
        zone,
        gib,
        tags,
        Some((instance.to_owned(), ROOT_DEVICE.to_owned())),
    );
}

fn keep(site: &mut Site<'_>, zone: &str, gib: u32, tags: Tags, attached: Option<(String, String)>) -> String {
    let id = site.new_id(Volume::PREFIX);
    let volume = Volume {
        id: id.clone(),
        gib,
        zone: zone.to_owned(),
        encrypted: true,
        created: site.now,
        goes_with_instance: attached.is_some(),
        attached,
    };
    site.keep(&id, volume, tags);
    id
}

/// Takes an instance's root volume away and detaches the others.
pub(super) fn release(site: &mut Site<'_>, instance: &str) {
    let of_instance = |volume: &&mut Volume| volume.attached.as_ref().is_some_and(|(holder, _)| holder == instance);
    let mut gone = Vec::new();
    for volume in site.ec2().volumes.values_mut().filter(of_instance) {
        volume.attached = None;
        if volume.goes_with_instance {
            gone.push(volume.id.clone());
        }
    }
    for id in gone {
        site.drop_resource::<Volume>(&id);
    }
}

fn create_free(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let zone = form.required("AvailabilityZone")?;
    if !zones::names(site.region).iter().any(|known| known == zone) {
        let message = format!("The zone '{zone}' does not exist.");
        return Err(Refusal::new("InvalidZone.NotFound", message));
    }
    if let Some(other) = form.text("VolumeType").filter(|kind| *kind != "gp3") {
        let message = format!("The local world has volumes of type gp3, not {other}");
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    let gib = form.parsed::<u32>("Size")?.unwrap_or(0);
    if gib == 0 || gib > 16_384 {
        let message = format!("Volume of {gib}GiB is not between 1 and 16384.");
        return Err(Refusal::new("InvalidParameterValue", message));
    }
    let encrypted = form.flag("Encrypted")?.unwrap_or(false);
    let tags = tags_at_creation(form, Volume::TYPE)?;
    let id = create(site, zone, gib, tags);
    site.ec2()
        .volumes
        .entry(id.clone())
        .and_modify(|volume| volume.encrypted = encrypted);
    let view = site.view();
    let mut xml = Xml::new();
    view.ec2.volumes[&id].write(&view, &mut xml);
    Ok(xml)
}

fn delete(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let id = form.required("VolumeId")?;
    if let Some((instance, _)) = &site.find::<Volume>(id)?.attached {
        let message = format!("Volume {id} is currently attached to {instance}");
        return Err(Refusal::new("VolumeInUse", message));
    }
    site.drop_resource::<Volume>(id);
    Ok(done())
}
