{{/* How nodes find their network: by the tag that carries the cluster's name. */}}
{{- define "capacity.discovery" -}}
- tags:
    karpenter.sh/discovery: {{ required "capacity: set `cluster` to the cluster's name" .Values.cluster | quote }}
{{- end -}}

{{/* What the node classes share. */}}
{{- define "capacity.nodeClass" -}}
role: {{ required "capacity: set `nodeRole` to the nodes' role" .Values.nodeRole | quote }}
amiSelectorTerms:
  - alias: bottlerocket@{{ .Values.bottlerocket }}
subnetSelectorTerms:
  {{- include "capacity.discovery" . | nindent 2 }}
securityGroupSelectorTerms:
  {{- include "capacity.discovery" . | nindent 2 }}
metadataOptions:
  httpEndpoint: enabled
  httpTokens: required
  httpPutResponseHopLimit: 1
{{- end -}}
