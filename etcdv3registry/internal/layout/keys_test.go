// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
)

// decodedKey returns a key with the URL in it readable.
func decodedKey(t testing.TB, root string, u *common.URL) string {
	t.Helper()
	key, err := KeyOf(root, u)
	require.NoError(t, err)
	i := strings.LastIndexByte(key.Name, '/')
	decoded, err := url.QueryUnescape(key.Name[i+1:])
	require.NoError(t, err)
	return key.Name[:i+1] + decoded
}

// java.net.URLEncoder keeps letters, digits, ".", "-", "*" and "_", makes a
// space a plus, and writes everything else as the hexadecimal bytes of its UTF-8.
func TestEncodingIsThatOfJavaForEveryASCIICharacter(t *testing.T) {
	t.Parallel()
	for c := range 128 {
		var want string
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.ContainsRune(".-*_", rune(c)):
			want = string(rune(c))
		case c == ' ':
			want = "+"
		default:
			want = fmt.Sprintf("%%%02X", c)
		}
		assert.Equal(t, want, Encode(string(rune(c))), "character %q", rune(c))
		assert.Equal(t, "x"+want+want+"2A", Encode("x"+strings.Repeat(string(rune(c)), 2)+"2A"), "character %q among others", rune(c))
		decoded, err := url.QueryUnescape(want)
		require.NoError(t, err)
		assert.Equal(t, string(rune(c)), decoded, "character %q, back", rune(c))
	}
}

// Written by java.net.URLEncoder of OpenJDK 17.
func TestEncodingIsThatOfJavaBeyondASCII(t *testing.T) {
	t.Parallel()
	for plain, want := range map[string]string{
		"é世界😀\u0080\u07ff\u0800\uffff": "%C3%A9%E4%B8%96%E7%95%8C%F0%9F%98%80%C2%80%DF%BF%E0%A0%80%EF%BF%BF",
		"~*~%2A%7E+ ":                  "%7E*%7E%252A%257E%2B+",
		"%252A":                        "%25252A",
	} {
		assert.Equal(t, want, Encode(plain), "%q", plain)
	}
}

func TestKeysAreThoseOfJava(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		root string
		url  *common.URL
		want string
	}{
		"provider": {"/dubbo", urltest.Provider(),
			"/dubbo/org.example.Greeter/providers/tri://10.0.0.1:20000/org.example.Greeter?anyhost=true&interface=org.example.Greeter&methods=Greet,Wave&registry.role=3&side=provider&timestamp=1700000000"},
		"provider of a tenant": {"/tenant/prod", urltest.URL("dubbo", "10.0.0.1", "20880", urltest.Greeter, "side", "provider"),
			"/tenant/prod/org.example.Greeter/providers/dubbo://10.0.0.1:20880/org.example.Greeter?anyhost=true&side=provider"},
		"provider with group and version": {"/dubbo", urltest.URL("dubbo", "10.0.0.1", "20880", urltest.Greeter, "interface", urltest.Greeter, "group", "blue", "version", "1.0.0"),
			"/dubbo/org.example.Greeter/providers/dubbo://10.0.0.1:20880/org.example.Greeter?anyhost=true&group=blue&interface=org.example.Greeter&version=1.0.0"},
		"provider of a nested class": {"/dubbo", urltest.URL("dubbo", "10.0.0.1", "20880", "org.example.Outer$Greeter", "interface", "org.example.Outer$Greeter"),
			"/dubbo/org.example.Outer%24Greeter/providers/dubbo://10.0.0.1:20880/org.example.Outer$Greeter?anyhost=true&interface=org.example.Outer$Greeter"},
		"provider whose path is not its interface": {"/dubbo", urltest.URL("dubbo", "10.0.0.1", "20880", "context/path", "interface", urltest.Greeter),
			"/dubbo/org.example.Greeter/providers/dubbo://10.0.0.1:20880/context/path?anyhost=true&interface=org.example.Greeter"},
		"provider with an IPv6 address": {"/dubbo", urltest.URL("dubbo", "2001:db8::1", "20880", urltest.Greeter, "interface", urltest.Greeter),
			"/dubbo/org.example.Greeter/providers/dubbo://[2001:db8::1]:20880/org.example.Greeter?anyhost=true&interface=org.example.Greeter"},
		"provider without parameters": {"/dubbo", urltest.URL("dubbo", "10.0.0.1", "20880", urltest.Greeter),
			"/dubbo/org.example.Greeter/providers/dubbo://10.0.0.1:20880/org.example.Greeter?anyhost=true"},
		"provider with empty parameters": {"/dubbo", urltest.URL("dubbo", "10.0.0.1", "20880", urltest.Greeter, "group", "", "owner", "", "version", "1"),
			"/dubbo/org.example.Greeter/providers/dubbo://10.0.0.1:20880/org.example.Greeter?anyhost=true&version=1"},
		// What registryProtocol keeps of a provider URL with simplified: true.
		"simplified provider": {"/dubbo", urltest.Provider("application", "app", "release", "dubbo-golang-3.3.2").CloneWithParams(
			[]string{"application", "group", "interface", "release", "timestamp", "version", "registry.role"}),
			"/dubbo/org.example.Greeter/providers/tri://10.0.0.1:20000/org.example.Greeter?anyhost=true&application=app&interface=org.example.Greeter&methods=Greet,Wave&registry.role=3&release=dubbo-golang-3.3.2&timestamp=1700000000"},
		"provider without role and side": {"/dubbo", urltest.URL("rest", "10.0.0.1", "80", urltest.Greeter, "interface", urltest.Greeter),
			"/dubbo/org.example.Greeter/providers/rest://10.0.0.1:80/org.example.Greeter?anyhost=true&interface=org.example.Greeter"},
		"consumer": {"/dubbo", urltest.Consumer(),
			"/dubbo/org.example.Greeter/consumers/consumer://10.0.0.2/org.example.Greeter?category=consumers&check=false&interface=org.example.Greeter&protocol=tri&registry.role=0&side=consumer&timestamp=1700000000"},
		"consumer as Java writes it": {"/dubbo", urltest.URL("consumer", "10.0.0.2", "", urltest.Greeter, "category", "consumers", "check", "false", "interface", urltest.Greeter, "side", "consumer", "protocol", "dubbo"),
			"/dubbo/org.example.Greeter/consumers/consumer://10.0.0.2/org.example.Greeter?category=consumers&check=false&interface=org.example.Greeter&protocol=dubbo&side=consumer"},
		"consumer that insists on its own parameters": {"/dubbo", urltest.Consumer("check", "true", "protocol", "dubbo"),
			"/dubbo/org.example.Greeter/consumers/consumer://10.0.0.2/org.example.Greeter?category=consumers&check=true&interface=org.example.Greeter&protocol=dubbo&registry.role=0&side=consumer&timestamp=1700000000"},
		"consumer with a port to register": {"/dubbo", urltest.URL("tri", "10.0.0.2", "7000", urltest.Greeter, "side", "consumer"),
			"/dubbo/org.example.Greeter/consumers/consumer://10.0.0.2:7000/org.example.Greeter?category=consumers&check=false&protocol=tri&side=consumer"},
		"consumer with an IPv6 address": {"/dubbo", urltest.URL("tri", "2001:db8::2", "", urltest.Greeter, "side", "consumer"),
			"/dubbo/org.example.Greeter/consumers/consumer://[2001:db8::2]/org.example.Greeter?category=consumers&check=false&protocol=tri&side=consumer"},
		"override with an explicit category": {"/dubbo", urltest.URL("override", "0.0.0.0", "", urltest.Greeter, "category", "configurators", "dynamic", "false", "weight", "200"),
			"/dubbo/org.example.Greeter/configurators/override://0.0.0.0/org.example.Greeter?category=configurators&dynamic=false&weight=200"},
		"override without a category": {"/dubbo", urltest.URL("override", "10.0.0.1", "20880", urltest.Greeter, "disabled", "true"),
			"/dubbo/org.example.Greeter/configurators/override://10.0.0.1:20880/org.example.Greeter?disabled=true"},
		"category before role": {"/dubbo", urltest.URL("condition", "0.0.0.0", "", urltest.Greeter, "category", "routers", "registry.role", "3"),
			"/dubbo/org.example.Greeter/routers/condition://0.0.0.0/org.example.Greeter?category=routers&registry.role=3"},
		"role before side": {"/dubbo", urltest.URL("tri", "10.0.0.1", "1", urltest.Greeter, "side", "consumer", "registry.role", "3"),
			"/dubbo/org.example.Greeter/providers/tri://10.0.0.1:1/org.example.Greeter?anyhost=true&registry.role=3&side=consumer"},
		"a role that there is not": {"/dubbo", urltest.URL("tri", "10.0.0.1", "1", urltest.Greeter, "registry.role", "7"),
			"/dubbo/org.example.Greeter/providers/tri://10.0.0.1:1/org.example.Greeter?anyhost=true&registry.role=7"},
	} {
		assert.Equal(t, c.want, decodedKey(t, c.root, c.url), name)
	}
}

func TestUserNameAndPasswordOfAURLArePartOfItsKeyAsInJava(t *testing.T) {
	t.Parallel()
	u := urltest.URL("dubbo", "10.0.0.1", "20880", urltest.Greeter)
	u.Username, u.Password = "alice", "secret"
	assert.Equal(t, "/dubbo/org.example.Greeter/providers/dubbo://alice:secret@10.0.0.1:20880/org.example.Greeter?anyhost=true", decodedKey(t, "/dubbo", u))
}

func TestTheURLInAKeyIsOneEncodedSegment(t *testing.T) {
	t.Parallel()
	key, err := KeyOf("/dubbo", urltest.URL("dubbo", "10.0.0.1", "20880", "a.B", "x", "~*ü +"))
	require.NoError(t, err)
	assert.Equal(t, Key{
		Name:   "/dubbo/a.B/providers/dubbo%3A%2F%2F10.0.0.1%3A20880%2Fa.B%3Fanyhost%3Dtrue%26x%3D%7E*%C3%BC+%2B",
		Parent: "/dubbo/a.B",
	}, key)
}

func TestOnlyWhatIsNotDynamicIsPersistent(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{"": false, "true": false, "false": true} {
		for _, u := range []*common.URL{urltest.Provider("dynamic", value), urltest.Consumer("dynamic", value), urltest.URL("override", "0.0.0.0", "", urltest.Greeter, "dynamic", value)} {
			key, err := KeyOf("/dubbo", u)
			require.NoError(t, err)
			assert.Equal(t, want, key.Persistent, "%s with dynamic=%q", u.Protocol, value)
		}
	}
}

func TestAURLThatNamesNoServiceHasNoKey(t *testing.T) {
	t.Parallel()
	u := urltest.URL("dubbo", "10.0.0.1", "20880", "")
	u.Username, u.Password = "alice", "SECRET"
	_, err := KeyOf("/dubbo", u)
	if assert.ErrorContains(t, err, `"dubbo://10.0.0.1:20880"`) {
		assert.ErrorContains(t, err, "neither an interface parameter nor a path")
		assert.NotContains(t, err.Error(), "SECRET")
	}
}

func TestAHostThatIsNotConfiguredIsTheLocalOne(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "/dubbo/a.B/providers/dubbo://"+common.GetLocalIp()+":20880/a.B?anyhost=true",
		decodedKey(t, "/dubbo", urltest.URL("dubbo", "", "20880", "a.B")))
}

// An override for all, as an administration makes it of a text.
func TestAHostWithoutAPortIsTheOneInTheKey(t *testing.T) {
	t.Parallel()
	const rule = "override://0.0.0.0/org.a.Greeter?category=configurators&dynamic=false&timeout=2500"
	u, err := common.NewURL(rule)
	require.NoError(t, err)
	assert.Equal(t, "/dubbo/org.a.Greeter/configurators/"+rule, decodedKey(t, "/dubbo", u))
}

func TestMakingAKeyDoesNotChangeTheURL(t *testing.T) {
	t.Parallel()
	for _, u := range []*common.URL{urltest.Provider(), urltest.Consumer()} {
		before := u.String()
		_, err := KeyOf("/dubbo", u)
		require.NoError(t, err)
		assert.Equal(t, before, u.String())
	}
}

// recorder is a registry on dubbo-go's BaseRegistry, as its own etcdv3 and
// zookeeper registries are, that notes what it is told to write.
type recorder struct {
	registry.BaseRegistry
	key string
}

func (r *recorder) CreatePath(string) error { return nil }

func (r *recorder) DoRegister(root, node string) error {
	r.key = root + "/" + node
	return nil
}

func (r *recorder) DoUnregister(string, string) error { return nil }

//nolint:staticcheck // BaseRegistry asks for the deprecated listener
func (r *recorder) DoSubscribe(*common.URL) (registry.Listener, error) { return nil, nil }

//nolint:staticcheck // BaseRegistry asks for the deprecated listener
func (r *recorder) DoUnsubscribe(*common.URL) (registry.Listener, error) { return nil, nil }

func (r *recorder) LoadSubscribeInstances(*common.URL, registry.NotifyListener) error { return nil }

func (r *recorder) CloseAndNilClient() {}

func (r *recorder) CloseListener() {}

func (r *recorder) InitListeners() {}

// registryURL is that of a registry in a group.
func registryURL(group string) *common.URL {
	return common.NewURLWithOptions(common.WithProtocol("etcdv3"), common.WithIp("a"), common.WithPort("1"),
		common.WithParamsValue(constant.RegistryRoleKey, "3"), common.WithParamsValue(constant.RegistryGroupKey, group))
}

func TestProviderKeysAreThoseOfBaseRegistry(t *testing.T) {
	t.Parallel()
	nested := urltest.URL("dubbo", "10.0.0.1", "20880", "org.example.Outer$Greeter", "interface", "org.example.Outer$Greeter", "registry.role", "3")
	nested.Methods = []string{"Greet"}
	for name, u := range map[string]*common.URL{
		"plain":                    urltest.Provider(),
		"with group and version":   urltest.Provider("group", "blue", "version", "1.0.0"),
		"with empty parameters":    urltest.Provider("owner", "", "module", "", "environment", ""),
		"with what users write":    urltest.Provider("description", "a b, c/d: 100 percent? é世界"),
		"without the local host":   func() *common.URL { u := urltest.Provider(); u.Ip = ""; return u }(),
		"with dynamic=false":       urltest.Provider("dynamic", "false"),
		"simplified":               urltest.Provider("application", "app").CloneWithParams([]string{"application", "interface", "registry.role", "timestamp"}),
		"of a nested class":        nested,
		"with symbols in a value":  urltest.Provider("x", "[{(<'\"!$;@#^|\\`=&+>)}]"),
		"with a dash and a period": urltest.Provider("a-b.c_d", "A-B.C_D"),
	} {
		base := &recorder{}
		base.InitBaseRegistry(registryURL("prod"), base)
		require.NoError(t, base.Register(u), name)
		key, err := KeyOf("/prod", u)
		require.NoError(t, err, name)
		assert.Equal(t, base.key, key.Name, name)
	}
}

// These two differ from BaseRegistry for Java's sake.
func TestTildesAndAsterisksAreEncodedAsJavaDoesAndBaseRegistryDoesNot(t *testing.T) {
	t.Parallel()
	u := urltest.Provider("x", "~*")
	base := &recorder{}
	base.InitBaseRegistry(registryURL("dubbo"), base)
	require.NoError(t, base.Register(u))
	key, err := KeyOf("/dubbo", u)
	require.NoError(t, err)
	assert.Contains(t, base.key, "x%3D~%2A")
	assert.Equal(t, strings.Replace(base.key, "x%3D~%2A", "x%3D%7E*", 1), key.Name)
}
