//! Launch templates: what node groups and Karpenter launch instances from.

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
use crate::aws::ec2::resource::answer_page;
use crate::aws::ec2::resource::describe as describe_by_id;
use crate::aws::ec2::resource::one;
use crate::aws::ec2::resource::read_tags;
use crate::aws::ec2::resource::tags_at_creation;
use crate::aws::ec2::resource::write_tags;
use crate::aws::iso;
use crate::aws::query::Form;
use crate::aws::query::Operation;
use crate::aws::query::Run;
use crate::aws::query::operation;
use crate::aws::xml::Xml;

/// What a template may say of an instance.
macro_rules! data {
    ($more:literal) => {
        concat!(
            $more,
            " ClientToken VersionDescription LaunchTemplateData.ImageId LaunchTemplateData.InstanceType ",
            "LaunchTemplateData.UserData LaunchTemplateData.SecurityGroupId.# ",
            "LaunchTemplateData.MetadataOptions.HttpTokens LaunchTemplateData.MetadataOptions.HttpPutResponseHopLimit ",
            "LaunchTemplateData.MetadataOptions.HttpEndpoint ",
            "LaunchTemplateData.BlockDeviceMapping.#.DeviceName LaunchTemplateData.BlockDeviceMapping.#.Ebs.VolumeSize ",
            "LaunchTemplateData.BlockDeviceMapping.#.Ebs.VolumeType LaunchTemplateData.BlockDeviceMapping.#.Ebs.Encrypted ",
            "LaunchTemplateData.BlockDeviceMapping.#.Ebs.DeleteOnTermination ",
            "LaunchTemplateData.TagSpecification.#.ResourceType LaunchTemplateData.TagSpecification.#.Tag.#.Key ",
            "LaunchTemplateData.TagSpecification.#.Tag.#.Value"
        )
    };
}

pub(super) const OPERATIONS: &[Operation<Run>] = &[
    operation("CreateLaunchTemplate", data!("LaunchTemplateName! @tags"), create_named),
    operation(
        "CreateLaunchTemplateVersion",
        data!("LaunchTemplateId LaunchTemplateName"),
        create_version,
    ),
    operation(
        "DescribeLaunchTemplates",
        "LaunchTemplateId.# LaunchTemplateName.# @filters @pages",
        describe,
    ),
    operation(
        "DescribeLaunchTemplateVersions",
        "LaunchTemplateId LaunchTemplateName LaunchTemplateVersion.# @pages",
        describe_versions,
    ),
    operation("DeleteLaunchTemplate", "LaunchTemplateId LaunchTemplateName", delete),
];

/// One launch template.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LaunchTemplate {
    pub(crate) id: String,
    pub(crate) name: String,
    created: Timestamp,
    /// The latest is the last; the first is 1.
    pub(crate) versions: Vec<Version>,
}

/// One version of a template.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) description: Option<String>,
    pub(crate) image: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) user_data: Option<String>,
    pub(crate) groups: Vec<String>,
    /// Tokens, hop limit and endpoint of the metadata service.
    pub(crate) metadata: [Option<String>; 3],
    pub(crate) devices: Vec<Device>,
    /// By resource type.
    pub(crate) tags: Vec<(String, Tags)>,
}

/// A volume that an instance is to have.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) gib: Option<u32>,
    pub(crate) encrypted: Option<bool>,
}

impl Resource for LaunchTemplate {
    const PREFIX: &'static str = "lt";
    const TYPE: &'static str = "launch-template";
    const IDS: &'static str = "LaunchTemplateId";
    const SET: &'static str = "launchTemplates";
    const FILTERS: &'static [&'static str] = &["launch-template-name"];

    fn all(ec2: &Ec2) -> &BTreeMap<String, Self> {
        &ec2.launch_templates
    }

    fn all_mut(ec2: &mut Ec2) -> &mut BTreeMap<String, Self> {
        &mut ec2.launch_templates
    }

    fn missing(id: &str) -> Refusal {
        let message = format!("The specified launch template, with template ID {id}, does not exist.");
        Refusal::new("InvalidLaunchTemplateId.NotFound", message)
    }

    fn facet(&self, _: &View<'_>, _: &str) -> Vec<String> {
        vec![self.name.clone()]
    }

    fn write(&self, view: &View<'_>, xml: &mut Xml) {
        xml.text("launchTemplateId", &self.id)
            .text("launchTemplateName", &self.name)
            .text("createTime", iso(self.created))
            .text("createdBy", format!("arn:aws:iam::{}:user/operator", view.account))
            .text("defaultVersionNumber", 1)
            .text("latestVersionNumber", self.versions.len());
        view.tags(&self.id, xml);
    }
}

impl LaunchTemplate {
    fn write_version(&self, number: usize, version: &Version, view: &View<'_>, xml: &mut Xml) {
        xml.text("launchTemplateId", &self.id)
            .text("launchTemplateName", &self.name)
            .text("versionNumber", number)
            .maybe("versionDescription", version.description.as_ref())
            .text("createTime", iso(self.created))
            .text("createdBy", format!("arn:aws:iam::{}:user/operator", view.account))
            .text("defaultVersion", number == 1)
            .element("launchTemplateData", |xml| version.write(xml));
    }
}

impl Version {
    fn read(form: &Form<'_>) -> Result<Self, Refusal> {
        let description = form.text("VersionDescription").map(str::to_owned);
        let Some(data) = form.within("LaunchTemplateData") else {
            let message = "The request must contain the parameter LaunchTemplateData";
            return Err(Refusal::new("MissingParameter", message));
        };
        let text = |name: &str| data.text(name).map(str::to_owned);
        let mut devices = Vec::new();
        for device in data.items("BlockDeviceMapping") {
            devices.push(Device {
                name: device.required("DeviceName")?.to_owned(),
                gib: device.parsed("Ebs.VolumeSize")?,
                encrypted: device.flag("Ebs.Encrypted")?,
            });
        }
        let mut tags = Vec::new();
        for specification in data.items("TagSpecification") {
            tags.push((
                specification.required("ResourceType")?.to_owned(),
                read_tags(&specification)?,
            ));
        }
        Ok(Self {
            description,
            image: text("ImageId"),
            kind: text("InstanceType"),
            user_data: text("UserData"),
            groups: data.texts("SecurityGroupId").into_iter().map(str::to_owned).collect(),
            metadata: ["HttpTokens", "HttpPutResponseHopLimit", "HttpEndpoint"]
                .map(|name| text(&format!("MetadataOptions.{name}"))),
            devices,
            tags,
        })
    }

    fn write(&self, xml: &mut Xml) {
        xml.maybe("imageId", self.image.as_ref())
            .maybe("instanceType", self.kind.as_ref())
            .maybe("userData", self.user_data.as_ref())
            .texts("securityGroupIdSet", "item", &self.groups)
            .element("metadataOptions", |xml| {
                for (name, value) in ["httpTokens", "httpPutResponseHopLimit", "httpEndpoint"]
                    .iter()
                    .zip(&self.metadata)
                {
                    xml.maybe(name, value.as_ref());
                }
            })
            .list("blockDeviceMappingSet", "item", &self.devices, |xml, device| {
                xml.text("deviceName", &device.name).element("ebs", |xml| {
                    xml.maybe("volumeSize", device.gib)
                        .text("volumeType", "gp3")
                        .maybe("encrypted", device.encrypted);
                });
            })
            .list("tagSpecificationSet", "item", &self.tags, |xml, (kind, tags)| {
                xml.text("resourceType", kind);
                write_tags(tags, xml);
            });
    }
}

/// Creates a template, as a client or a controller does.
pub(crate) fn create(site: &mut Site<'_>, name: &str, version: Version, tags: Tags) -> Result<String, Refusal> {
    if site
        .ec2()
        .launch_templates
        .values()
        .any(|template| template.name == name)
    {
        let message = "Launch template name already in use.";
        return Err(Refusal::new(
            "InvalidLaunchTemplateName.AlreadyExistsException",
            message,
        ));
    }
    let id = site.new_id(LaunchTemplate::PREFIX);
    let template = LaunchTemplate {
        id: id.clone(),
        name: name.to_owned(),
        created: site.now,
        versions: vec![version],
    };
    site.keep(&id, template, tags);
    Ok(id)
}

/// Deletes a template, as a controller does.
pub(crate) fn remove(site: &mut Site<'_>, id: &str) {
    site.drop_resource::<LaunchTemplate>(id);
}

fn create_named(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let token = form
        .text("ClientToken")
        .map(|token| format!("CreateLaunchTemplate/{token}"));
    if let Some(id) = token.as_ref().and_then(|token| site.ec2().tokens.get(token).cloned()) {
        return Ok(one::<LaunchTemplate>(site, "launchTemplate", &id));
    }
    let version = Version::read(form)?;
    let tags = tags_at_creation(form, LaunchTemplate::TYPE)?;
    let id = create(site, form.required("LaunchTemplateName")?, version, tags)?;
    if let Some(token) = token {
        site.ec2().tokens.insert(token, id.clone());
    }
    Ok(one::<LaunchTemplate>(site, "launchTemplate", &id))
}

/// The template that a call names by id or by name.
fn named<'a>(site: &'a mut Site<'_>, form: &Form<'_>) -> Result<&'a mut LaunchTemplate, Refusal> {
    let id = match (form.text("LaunchTemplateId"), form.text("LaunchTemplateName")) {
        (Some(id), None) => id.to_owned(),
        (None, Some(name)) => id_of(site.ec2(), name)?,
        _ => {
            let message = "Either LaunchTemplateId or LaunchTemplateName must be specified, and not both.";
            return Err(Refusal::new("MissingParameter", message));
        }
    };
    site.find::<LaunchTemplate>(&id)
}

fn id_of(ec2: &Ec2, name: &str) -> Result<String, Refusal> {
    let found = ec2.launch_templates.values().find(|template| template.name == name);
    found.map(|template| template.id.clone()).ok_or_else(|| {
        let message = format!("The specified launch template, with template name {name}, does not exist.");
        Refusal::new("InvalidLaunchTemplateName.NotFoundException", message)
    })
}

fn create_version(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let version = Version::read(form)?;
    let template = named(site, form)?;
    template.versions.push(version);
    let id = template.id.clone();
    let view = site.view();
    let template = &view.ec2.launch_templates[&id];
    let mut xml = Xml::new();
    if let Some(latest) = template.versions.last() {
        xml.element("launchTemplateVersion", |xml| {
            template.write_version(template.versions.len(), latest, &view, xml);
        });
    }
    Ok(xml)
}

fn describe(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let names = form.texts("LaunchTemplateName");
    if names.is_empty() {
        return describe_by_id::<LaunchTemplate>(site, form);
    }
    let ids = names
        .iter()
        .map(|name| id_of(site.ec2(), name))
        .collect::<Result<Vec<_>, _>>()?;
    let view = site.view();
    let found = ids.iter().map(|id| &view.ec2.launch_templates[id]).collect();
    answer_page(
        form,
        LaunchTemplate::SET,
        found,
        |template: &&LaunchTemplate| template.id.clone(),
        |xml, template| {
            template.write(&view, xml);
        },
    )
}

fn describe_versions(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let id = named(site, form)?.id.clone();
    let wanted = form.texts("LaunchTemplateVersion");
    let view = site.view();
    let template = &view.ec2.launch_templates[&id];
    let latest = template.versions.len();
    let is_wanted = |number: usize, text: &str| match text {
        "$Latest" => number == latest,
        "$Default" => number == 1,
        text => text == number.to_string(),
    };
    let found = (1..)
        .zip(&template.versions)
        .filter(|(number, _)| wanted.is_empty() || wanted.iter().any(|text| is_wanted(*number, text)))
        .collect();
    answer_page(
        form,
        "launchTemplateVersionSet",
        found,
        |(number, _)| format!("{number:06}"),
        |xml, (number, version)| {
            template.write_version(number, version, &view, xml);
        },
    )
}

fn delete(site: &mut Site<'_>, form: &Form<'_>) -> Result<Xml, Refusal> {
    let id = named(site, form)?.id.clone();
    let xml = one::<LaunchTemplate>(site, "launchTemplate", &id);
    remove(site, &id);
    Ok(xml)
}
