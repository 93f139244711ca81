package tools

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// manifests is what kubectl apply -k would send, read by Kubernetes' own types: a
// member that they do not have is an error.
type manifests struct {
	deployments map[string]appsv1.Deployment
	services    map[string]corev1.Service
	budgets     map[string]policyv1.PodDisruptionBudget
	policies    map[string]networkingv1.NetworkPolicy
	settings    map[string]corev1.ConfigMap
	jobs        map[string]batchv1.Job
}

func build(t *testing.T, shape string) manifests {
	t.Helper()
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), "../deploy/kubernetes/"+shape)
	if err != nil {
		t.Fatal(err)
	}
	m := manifests{map[string]appsv1.Deployment{}, map[string]corev1.Service{}, map[string]policyv1.PodDisruptionBudget{},
		map[string]networkingv1.NetworkPolicy{}, map[string]corev1.ConfigMap{}, map[string]batchv1.Job{}}
	for _, r := range made.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		if r.GetNamespace() != "uaol" {
			t.Errorf("%s is in the namespace %q", r.GetName(), r.GetNamespace())
		}
		switch r.GetApiVersion() + " " + r.GetKind() {
		case "apps/v1 Deployment":
			strict(t, text, m.deployments, r.GetName())
		case "v1 Service":
			strict(t, text, m.services, r.GetName())
		case "policy/v1 PodDisruptionBudget":
			strict(t, text, m.budgets, r.GetName())
		case "networking.k8s.io/v1 NetworkPolicy":
			strict(t, text, m.policies, r.GetName())
		case "v1 ConfigMap":
			strict(t, text, m.settings, r.GetName())
		case "batch/v1 Job":
			strict(t, text, m.jobs, r.GetName())
		default:
			t.Errorf("nobody looks at a %s %s", r.GetApiVersion(), r.GetKind())
		}
	}
	return m
}

func strict[T any](t *testing.T, text []byte, into map[string]T, name string) {
	t.Helper()
	var v T
	if err := yaml.UnmarshalStrict(text, &v); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	into[name] = v
}

// shapes are the manifests, and what each of their Deployments serves.
var shapes = map[string]map[string]string{
	"one": {"uaol": "serve"},
	"seven": {"gateway": "serve gateway", "auth": "serve auth", "registry": "serve registry", "proxy": "serve proxy",
		"jobs": "serve jobs", "billing": "serve billing", "storage": "serve storage"},
}

func TestKubernetesDeployments(t *testing.T) {
	for shape, want := range shapes {
		m := build(t, shape)
		if got := slices.Sorted(maps.Keys(m.deployments)); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
			t.Errorf("%s deploys %v", shape, got)
		}
		for name, d := range m.deployments {
			pod := d.Spec.Template.Spec
			c := container(t, pod)
			if got := strings.Join(c.Args, " "); got != want[name] {
				t.Errorf("%s runs %q", name, got)
			}
			if d.Spec.Replicas == nil || *d.Spec.Replicas < 2 {
				t.Errorf("%s ends with one machine", name)
			}
			if pod.TerminationGracePeriodSeconds == nil || *pod.TerminationGracePeriodSeconds < 30 {
				t.Errorf("%s is killed before its stop can end", name)
			}
			for probe, path := range map[*corev1.Probe]string{c.LivenessProbe: "/livez", c.StartupProbe: "/livez", c.ReadinessProbe: "/readyz"} {
				if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path || probe.HTTPGet.Port.String() != "http" {
					t.Errorf("%s is not asked at %s", name, path)
				}
			}
			closed(t, name, pod)
			if !contains(d.Spec.Template.Labels, d.Spec.Selector.MatchLabels) {
				t.Errorf("%s does not select its own pods", name)
			}
			s, ok := m.services[name]
			if !ok || !contains(d.Spec.Template.Labels, s.Spec.Selector) || s.Spec.Ports[0].TargetPort.String() != "http" {
				t.Errorf("%s has no service that leads to it", name)
			}
			b, ok := m.budgets[name]
			if !ok || !contains(d.Spec.Template.Labels, b.Spec.Selector.MatchLabels) || b.Spec.MinAvailable == nil || b.Spec.MinAvailable.IntValue() != 1 {
				t.Errorf("%s may be taken away as a whole", name)
			}
		}
		if len(m.services) != len(want) || len(m.budgets) != len(want) {
			t.Errorf("%s has services or budgets for nobody", shape)
		}
		job := m.jobs["uaol-migrate"]
		if c := container(t, job.Spec.Template.Spec); strings.Join(c.Args, " ") != "migrate up" {
			t.Errorf("the tables' job runs %v", c.Args)
		}
		closed(t, "uaol-migrate", job.Spec.Template.Spec)
	}
}

func container(t *testing.T, pod corev1.PodSpec) corev1.Container {
	t.Helper()
	if len(pod.Containers) != 1 || len(pod.InitContainers) != 0 {
		t.Fatalf("it has %d containers", len(pod.Containers))
	}
	return pod.Containers[0]
}

// closed is what a pod may not do, and how much it gets.
func closed(t *testing.T, name string, pod corev1.PodSpec) {
	t.Helper()
	c := container(t, pod)
	if p := pod.SecurityContext; p == nil || p.RunAsNonRoot == nil || !*p.RunAsNonRoot || p.RunAsUser == nil || *p.RunAsUser != 65532 ||
		p.SeccompProfile == nil || p.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("%s runs as root, or makes any system call", name)
	}
	if s := c.SecurityContext; s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.AllowPrivilegeEscalation == nil ||
		*s.AllowPrivilegeEscalation || s.Capabilities == nil || !slices.Contains(s.Capabilities.Drop, "ALL") || len(s.Capabilities.Add) > 0 {
		t.Errorf("%s may write outside its volumes or has rights", name)
	}
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		t.Errorf("%s has the cluster's token", name)
	}
	if pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
		t.Errorf("%s gets variables of services, which look like settings", name)
	}
	if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
		t.Errorf("%s says not what it takes", name)
	}
	for _, mount := range c.VolumeMounts {
		if !slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name }) {
			t.Errorf("%s mounts %s, which is not there", name, mount.Name)
		}
	}
}

func contains(labels, some map[string]string) bool {
	for name, value := range some {
		if labels[name] != value {
			return false
		}
	}
	return len(some) > 0
}

// Only who serves the gateway is open; all other ports are for our pods and monitoring.
func TestKubernetesNetwork(t *testing.T) {
	public := map[string]string{"one": "uaol", "seven": "gateway"}
	for shape := range shapes {
		m := build(t, shape)
		for name, d := range m.deployments {
			covered := false
			for _, p := range m.policies {
				if !contains(d.Spec.Template.Labels, p.Spec.PodSelector.MatchLabels) || !slices.Contains(p.Spec.PolicyTypes, networkingv1.PolicyTypeIngress) {
					continue
				}
				covered = true
				for _, rule := range p.Spec.Ingress {
					if len(rule.Ports) == 0 {
						t.Errorf("%s: %s opens every port", name, p.Name)
					}
					if len(rule.From) > 0 {
						continue
					}
					if name != public[shape] || len(rule.Ports) != 1 || rule.Ports[0].Port.String() != "http" {
						t.Errorf("%s: anybody reaches it by %s", name, p.Name)
					}
				}
			}
			if !covered {
				t.Errorf("%s has no policy at all", name)
			}
		}
		if d := m.deployments[public[shape]]; d.Spec.Template.Labels["uaol/public"] != "true" {
			t.Errorf("%s: nobody reaches the gateway", shape)
		}
		for name, s := range m.services {
			if s.Spec.Type != "" && s.Spec.Type != corev1.ServiceTypeClusterIP {
				t.Errorf("%s is a %s", name, s.Spec.Type)
			}
		}
	}
}

// Each variable is a setting; secrets come from the Secret, to those alone who need them.
func TestKubernetesSettings(t *testing.T) {
	known := settings(t)
	holders := map[string][]string{
		"JWT_SECRET":          {"auth"},
		"ENCRYPTION_SECRET":   {"auth", "registry", "proxy", "jobs", "billing", "storage"},
		"UAOL_SERVICE_SECRET": {"gateway", "auth", "registry", "proxy", "jobs", "billing", "storage"},
	}
	for shape := range shapes {
		m := build(t, shape)
		for variable := range m.settings["uaol"].Data {
			if !known[variable] {
				t.Errorf("%s is no setting", variable)
			}
		}
		pods := map[string]corev1.PodSpec{"uaol-migrate": m.jobs["uaol-migrate"].Spec.Template.Spec}
		for name, d := range m.deployments {
			pods[name] = d.Spec.Template.Spec
		}
		for name, pod := range pods {
			has := map[string]bool{}
			for _, e := range container(t, pod).Env {
				has[e.Name] = true
				if !known[e.Name] {
					t.Errorf("%s: %s is no setting", name, e.Name)
				}
				if e.Value != "" || e.ValueFrom == nil || e.ValueFrom.SecretKeyRef == nil || e.ValueFrom.SecretKeyRef.Name != "uaol" || e.ValueFrom.SecretKeyRef.Key != e.Name {
					t.Errorf("%s: %s does not come from the Secret of that name", name, e.Name)
				}
			}
			if !has["DATABASE_URL"] {
				t.Errorf("%s has no database", name)
			}
			for secret, who := range holders {
				if want := shape == "seven" && slices.Contains(who, name); has[secret] != want && shape == "seven" {
					t.Errorf("%s has %s: %v; want %v", name, secret, has[secret], want)
				}
			}
		}
		if shape != "seven" {
			continue
		}
		for name, s := range m.services {
			url := "http://" + name + ":" + port(m.deployments[name])
			if got := m.settings["uaol"].Data["UAOL_"+strings.ToUpper(name)+"_URL"]; name != "gateway" && (got != url || strconv.Itoa(int(s.Spec.Ports[0].Port)) != port(m.deployments[name])) {
				t.Errorf("%s is looked for at %q; it is at %s", name, got, url)
			}
		}
	}
}

// port is the number of a Deployment's port for services.
func port(d appsv1.Deployment) string {
	for _, p := range d.Spec.Template.Spec.Containers[0].Ports {
		if p.Name == "http" {
			return strconv.Itoa(int(p.ContainerPort))
		}
	}
	return ""
}
