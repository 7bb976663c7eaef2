// SPDX-License-Identifier: Apache-2.0

//go:build interop

package interop_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// version is one of Dubbo for Java.
type version string

// javaVersions are those that the tests are run with: the oldest for which the
// extensions for etcd are published, and the newest.
var javaVersions = []version{"3.2.0", "3.3.6"}

// eachJava runs a test with each version of Dubbo for Java.
func eachJava(t *testing.T, test func(*testing.T, version)) {
	t.Helper()
	t.Parallel()
	versions := javaVersions
	if only := version(os.Getenv("INTEROP_JAVA")); only != "" {
		require.Contains(t, javaVersions, only, "INTEROP_JAVA")
		versions = []version{only}
	}
	for _, v := range versions {
		t.Run(string(v), func(t *testing.T) {
			v.classpath(t) // skips before anything is started
			t.Parallel()
			test(t, v)
		})
	}
}

// build is what Maven made of java/ with a version of Dubbo.
type build struct {
	classpath string
	skip      string // why there is none, where that is nobody's fault
	err       error
}

var (
	builds   = map[version]func() build{}
	buildDir = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "interop-") })
)

func init() {
	for _, v := range javaVersions {
		builds[v] = sync.OnceValue(v.build)
	}
}

func removeBuilds() {
	if dir, err := buildDir(); err == nil {
		_ = os.RemoveAll(dir)
	}
}

// classpath returns that of the main classes. It skips the test where there is no
// JDK, no Maven, or no way to Maven Central.
func (v version) classpath(t *testing.T) string {
	t.Helper()
	b := builds[v]()
	if b.skip != "" {
		t.Skip(b.skip)
	}
	require.NoError(t, b.err)
	return b.classpath
}

// One build at a time: both write to Maven's repository.
var building sync.Mutex

func (v version) build() build {
	building.Lock()
	defer building.Unlock()
	for _, tool := range []string{"java", "javac", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			return build{skip: "SKIPPED: there is no " + tool + " on this machine, nothing was done with Dubbo for Java"}
		}
	}
	dir, err := buildDir()
	if err != nil {
		return build{err: err}
	}
	classes, list := filepath.Join(dir, string(v)), filepath.Join(dir, string(v)+".classpath")
	mvn := exec.Command("mvn", "-q", "-B", "-Dstyle.color=never", "-Ddubbo.version="+string(v), "-Doutput="+classes,
		"compile", "dependency:build-classpath", "-Dmdep.outputFile="+list)
	mvn.Dir = "java"
	if output, err := mvn.CombinedOutput(); err != nil {
		if unreachable(string(output)) {
			return build{skip: fmt.Sprintf("SKIPPED: Maven does not get at what Dubbo %s for Java needs:\n%s", v, output)}
		}
		return build{err: fmt.Errorf("mvn: %w\n%s", err, output)}
	}
	jars, err := os.ReadFile(list)
	return build{err: err, classpath: filepath.Join(classes, "classes") + string(os.PathListSeparator) + strings.TrimSpace(string(jars))}
}

// unreachable says whether Maven failed because it could not load something.
func unreachable(output string) bool {
	return slices.ContainsFunc([]string{"Could not transfer", "Could not resolve dependencies", "Could not find artifact", "could not be resolved"},
		func(s string) bool { return strings.Contains(output, s) })
}

// command returns that of a main class.
func (v version) command(t *testing.T, class, home string, args ...string) *exec.Cmd {
	t.Helper()
	return exec.Command("java", slices.Concat([]string{
		"-cp", v.classpath(t),
		// Many that live for seconds: what they start with counts.
		"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-Xshare:auto",
		// What Hessian of Dubbo 3.2 looks into.
		"--add-opens=java.base/java.lang=ALL-UNNAMED", "--add-opens=java.base/java.math=ALL-UNNAMED", "--add-opens=java.base/java.util=ALL-UNNAMED",
		"-Dfile.encoding=UTF-8", "-Duser.home=" + home, "-Djava.net.preferIPv4Stack=true",
		"-Ddubbo.application.logger=jdk", "-Djava.util.logging.SimpleFormatter.format=%1$tT.%1$tL %4$s %2$s %5$s%6$s%n",
		"-Ddubbo.service.shutdown.wait=1000",
		"org.interop." + class,
	}, args)...)
}
