// SPDX-License-Identifier: Apache-2.0

// Package deploy_test checks the manifests: their fields are those of Kubernetes' types,
// what they name is there, and etcd is started with flags that it has.
package deploy_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	yamlv3 "gopkg.in/yaml.v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// issuer and certificate have the fields of cert-manager.io/v1 that are used here; its
// own types would bring all of cert-manager with them.
type issuer struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   named  `json:"metadata"`
	Spec       struct {
		SelfSigned *struct{} `json:"selfSigned"`
		CA         *struct {
			SecretName string `json:"secretName"`
		} `json:"ca"`
	} `json:"spec"`
}

type certificate struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   named  `json:"metadata"`
	Spec       struct {
		SecretName  string   `json:"secretName"`
		CommonName  string   `json:"commonName"`
		IsCA        bool     `json:"isCA"`
		Duration    string   `json:"duration"`
		Usages      []string `json:"usages"`
		DNSNames    []string `json:"dnsNames"`
		IPAddresses []string `json:"ipAddresses"`
		IssuerRef   struct {
			Name string `json:"name"`
			Kind string `json:"kind"`
		} `json:"issuerRef"`
	} `json:"spec"`
}

type named struct {
	Name string `json:"name"`
}

type manifests struct {
	issuers      map[string]issuer
	certificates map[string]certificate
	configMaps   map[string]corev1.ConfigMap
	deployments  map[string]appsv1.Deployment
	etcd         appsv1.StatefulSet
	service      corev1.Service
	budget       policyv1.PodDisruptionBudget
}

// read decodes what the kustomization names; a field that a type does not have is an
// error.
func read(t *testing.T) manifests {
	t.Helper()
	m := manifests{
		issuers: map[string]issuer{}, certificates: map[string]certificate{},
		configMaps: map[string]corev1.ConfigMap{}, deployments: map[string]appsv1.Deployment{},
	}
	var kustomization struct{ Resources []string }
	content, err := os.ReadFile("kubernetes/kustomization.yaml")
	require.NoError(t, err)
	require.NoError(t, yamlv3.Unmarshal(content, &kustomization))
	files, err := filepath.Glob("kubernetes/*.yaml")
	require.NoError(t, err)
	require.Len(t, kustomization.Resources, len(files)-1, "all other files are resources")
	for _, file := range kustomization.Resources {
		for _, document := range documents(t, filepath.Join("kubernetes", file)) {
			m.add(t, file, document)
		}
	}
	return m
}

func documents(t *testing.T, path string) (all [][]byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	for decoder := yamlv3.NewDecoder(bytes.NewReader(content)); ; {
		var node yamlv3.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err, path)
		document, err := yamlv3.Marshal(&node)
		require.NoError(t, err)
		all = append(all, document)
	}
}

func (m *manifests) add(t *testing.T, file string, document []byte) {
	t.Helper()
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Metadata   named  `json:"metadata"`
	}
	require.NoError(t, yaml.Unmarshal(document, &head), file)
	name := head.Metadata.Name
	require.NotEmpty(t, name, "%s: %s", file, head.Kind)
	switch head.APIVersion + " " + head.Kind {
	case "v1 Namespace":
		decode[corev1.Namespace](t, file, document)
	case "v1 Service":
		m.service = decode[corev1.Service](t, file, document)
	case "v1 ConfigMap":
		m.configMaps[name] = decode[corev1.ConfigMap](t, file, document)
	case "apps/v1 Deployment":
		m.deployments[name] = decode[appsv1.Deployment](t, file, document)
	case "apps/v1 StatefulSet":
		m.etcd = decode[appsv1.StatefulSet](t, file, document)
	case "policy/v1 PodDisruptionBudget":
		m.budget = decode[policyv1.PodDisruptionBudget](t, file, document)
	case "cert-manager.io/v1 Issuer":
		m.issuers[name] = decode[issuer](t, file, document)
	case "cert-manager.io/v1 Certificate":
		m.certificates[name] = decode[certificate](t, file, document)
	default:
		t.Fatalf("%s: %s %s: what are its fields?", file, head.APIVersion, head.Kind)
	}
}

func decode[T any](t *testing.T, file string, document []byte) (value T) {
	t.Helper()
	require.NoError(t, strictly(document, &value), file)
	return value
}

// strictly decodes as Kubernetes does with fieldValidation=Strict: also a name that
// differs in a capital is another one.
func strictly(document []byte, into any) error {
	content, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return err
	}
	unknown, err := json.UnmarshalStrict(content, into)
	return errors.Join(append(unknown, err)...)
}

func TestManifestsHaveOnlyFieldsThatThereAre(t *testing.T) {
	t.Parallel()
	m := read(t)
	assert.Len(t, m.deployments, 2)
	assert.Len(t, m.configMaps, 2)
	assert.NotEmpty(t, m.certificates)
	misspelt := "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {clusterIp: None}\n"
	assert.Error(t, strictly([]byte(misspelt), &corev1.Service{}), "what this test is for")
}

func TestWhatAManifestNamesIsThere(t *testing.T) {
	t.Parallel()
	m := read(t)
	var secrets []string
	for name, c := range m.certificates {
		secrets = append(secrets, c.Spec.SecretName)
		assert.Contains(t, m.issuers, c.Spec.IssuerRef.Name, name)
	}
	for name, i := range m.issuers {
		if i.Spec.CA != nil {
			assert.Contains(t, secrets, i.Spec.CA.SecretName, name)
		}
	}
	pods := map[string]corev1.PodTemplateSpec{"etcd": m.etcd.Spec.Template}
	selected := map[string]map[string]string{"etcd": m.etcd.Spec.Selector.MatchLabels}
	for name, d := range m.deployments {
		pods[name], selected[name] = d.Spec.Template, d.Spec.Selector.MatchLabels
	}
	for name, pod := range pods {
		assert.Equal(t, selected[name], pod.Labels, name)
		var volumes []string
		for _, v := range pod.Spec.Volumes {
			volumes = append(volumes, v.Name)
			if v.Secret != nil {
				assert.Contains(t, secrets, v.Secret.SecretName, name)
			}
			if v.ConfigMap != nil {
				assert.Contains(t, m.configMaps, v.ConfigMap.Name, name)
			}
		}
		if name == "etcd" {
			volumes = append(volumes, m.etcd.Spec.VolumeClaimTemplates[0].Name)
		}
		for _, c := range pod.Spec.Containers {
			for _, mount := range c.VolumeMounts {
				assert.Contains(t, volumes, mount.Name, name)
			}
			if c.ReadinessProbe != nil {
				assert.True(t, slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return isOf(c.ReadinessProbe.HTTPGet.Port, p) }), name)
			}
		}
	}
	assert.Equal(t, m.service.Name, m.etcd.Spec.ServiceName)
	assert.Equal(t, pods["etcd"].Labels, m.service.Spec.Selector)
	assert.Equal(t, pods["etcd"].Labels, m.budget.Spec.Selector.MatchLabels)
}

// isOf reports whether a probe's port is that of a container.
func isOf(probe intstr.IntOrString, port corev1.ContainerPort) bool {
	if probe.Type == intstr.String {
		return probe.StrVal == port.Name
	}
	return probe.IntVal == port.ContainerPort
}

// The certificate is for the names by which members and clients call a member, and
// services name them all.
func TestMembersHaveTheNamesThatAreCalled(t *testing.T) {
	t.Parallel()
	m := read(t)
	const domain = ".etcd.registry.svc"
	assert.Contains(t, m.certificates["etcd-member"].Spec.DNSNames, "*"+domain)
	args := m.etcd.Spec.Template.Spec.Containers[0].Args
	require.EqualValues(t, 3, *m.etcd.Spec.Replicas)
	for _, member := range []string{"etcd-0", "etcd-1", "etcd-2"} {
		assert.True(t, slices.ContainsFunc(args, func(arg string) bool {
			return strings.HasPrefix(arg, "--initial-cluster=") && strings.Contains(arg, member+"=https://"+member+domain+":2380")
		}), member)
		for name, c := range m.configMaps {
			assert.Contains(t, c.Data["dubbogo.yaml"], member+domain+":2379", name)
		}
	}
}
