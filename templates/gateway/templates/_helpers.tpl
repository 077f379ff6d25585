{{/* The labels by which the Service and the Deployment find the pods. */}}
{{- define "gateway.selector" -}}
app: {{ .Release.Name }}
{{- end -}}
