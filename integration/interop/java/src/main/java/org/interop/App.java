// SPDX-License-Identifier: Apache-2.0

package org.interop;

import com.google.protobuf.StringValue;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.dubbo.common.URL;
import org.apache.dubbo.config.AbstractInterfaceConfig;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ConfigCenterConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;
import org.apache.dubbo.rpc.service.GenericService;

/**
 * An application of Dubbo: registry=URL, config=URL, serve=URL of a service at a
 * port, refer=URL of a service, each as often as wanted. It calls what it refers
 * to as it is told.
 */
public class App {
    private final Flags flags;
    private final DubboBootstrap bootstrap = DubboBootstrap.getInstance();
    private final Map<String, ProtocolConfig> protocols = new TreeMap<>();
    private final List<Object> references = new ArrayList<>();

    public static void main(String[] args) throws Exception {
        Loopback.use();
        new Flags(args).setProperties();
        App app = new App(new Flags(args));
        app.start();
        Console.serve(app::run);
        app.bootstrap.stop(); // as Dubbo's own shutdown hook does
        System.exit(0);
    }

    private App(Flags flags) {
        this.flags = flags;
    }

    private void start() {
        ApplicationConfig application = new ApplicationConfig(flags.get("application") == null ? flags.get("name") : flags.get("application"));
        application.setQosEnable(false);
        application.setRegisterMode(flags.get("mode"));
        if (flags.get("metadata-port") != null) {
            application.setMetadataServicePort(Integer.valueOf(flags.get("metadata-port")));
        }
        application.setMetadataServiceProtocol(flags.get("metadata-protocol"));
        bootstrap.application(application);
        for (String url : flags.all("registry")) {
            RegistryConfig registry = new RegistryConfig(url);
            registry.setId("r" + registry.getProtocol());
            registry.setUseAsConfigCenter(false);
            registry.setRegisterMode(URL.valueOf(url).getParameter("register-mode"));
            registry.setSimplified(URL.valueOf(url).getParameter("simplified", false));
            bootstrap.registry(registry);
        }
        if (flags.get("config") != null) {
            ConfigCenterConfig center = new ConfigCenterConfig();
            center.setAddress(flags.get("config"));
            center.setCheck(true);
            bootstrap.configCenter(center);
        }
        flags.all("serve").forEach(s -> serve(URL.valueOf(s)));
        List<ReferenceConfig<Object>> configs = new ArrayList<>();
        for (String url : flags.all("refer")) {
            configs.add(reference(URL.valueOf(url)));
            bootstrap.reference(configs.get(configs.size() - 1));
        }
        bootstrap.start();
        configs.forEach(c -> references.add(c.get()));
    }

    private void serve(URL url) {
        ProtocolConfig protocol = protocols.computeIfAbsent(url.getProtocol() + url.getPort(), id -> {
            ProtocolConfig added = new ProtocolConfig(url.getProtocol(), url.getPort());
            added.setId(id);
            bootstrap.protocol(added);
            return added;
        });
        ServiceConfig<Object> service = new ServiceConfig<>();
        Class<?> type = describe(service, url);
        service.setRef(Services.serving(type, flags.get("name") + " " + url.getGroup("") + "/" + url.getVersion("")));
        service.setProtocol(protocol);
        service.setSerialization(url.getParameter("serialization"));
        bootstrap.service(service);
    }

    private ReferenceConfig<Object> reference(URL url) {
        ReferenceConfig<Object> reference = new ReferenceConfig<>();
        Class<?> type = describe(reference, url);
        reference.setProtocol(url.getProtocol());
        reference.setCheck(false);
        reference.setProvidedBy(url.getParameter("provided-by"));
        if (url.getParameter("generic") != null) {
            reference.setGeneric(url.getParameter("generic"));
        } else {
            reference.setInterface(type);
        }
        return reference;
    }

    /** Sets the interface, the group, the version and the other parameters of a service. */
    private static Class<?> describe(AbstractInterfaceConfig config, URL url) {
        try {
            Class<?> type = Class.forName(url.getPath());
            setInterface(config, type);
            config.setGroup(url.getGroup());
            config.setVersion(url.getVersion());
            Map<String, String> others = new TreeMap<>(url.getParameters());
            List.of("group", "version", "generic", "provided-by", "serialization").forEach(others::remove);
            setParameters(config, others);
            return type;
        } catch (ClassNotFoundException e) {
            throw new IllegalArgumentException(e);
        }
    }

    private static void setInterface(AbstractInterfaceConfig config, Class<?> type) {
        if (config instanceof ServiceConfig) {
            ((ServiceConfig<?>) config).setInterface(type);
        } else {
            ((ReferenceConfig<?>) config).setInterface(type.getName());
        }
    }

    private static void setParameters(AbstractInterfaceConfig config, Map<String, String> parameters) {
        if (config instanceof ServiceConfig) {
            ((ServiceConfig<?>) config).setParameters(parameters);
        } else {
            ((ReferenceConfig<?>) config).setParameters(parameters);
        }
    }

    private String run(String command, String rest) throws Exception {
        String[] args = rest.split(" ");
        switch (command) {
            case "call": return call(references.get(Integer.parseInt(args[0])), Integer.parseInt(args[1]));
            case "older": return older(references.get(Integer.parseInt(args[0])));
            case "slow": return greet(references.get(Integer.parseInt(args[0])), "sleep " + args[1]);
            case "refer":
                references.add(reference(URL.valueOf(rest)).get());
                return "";
            default: throw new IllegalArgumentException(command);
        }
    }

    /** Calls a reference n times, and says how often who answered as what. */
    private String call(Object reference, int n) {
        TreeMap<String, Integer> by = new TreeMap<>();
        String failure = "";
        for (int i = 0; i < n; i++) {
            String who = "wörld" + i;
            try {
                String answer = greet(reference, who);
                if (!answer.endsWith(" " + who)) {
                    throw new IllegalStateException("it answers " + answer);
                }
                by.merge(answer.substring(0, answer.length() - who.length() - 1).replace(' ', '@'), 1, Integer::sum);
            } catch (Throwable e) {
                by.merge("failed", 1, Integer::sum);
                failure = " !" + String.valueOf(e).replace('\n', ' ');
            }
        }
        StringBuilder answer = new StringBuilder();
        by.forEach((name, count) -> answer.append(answer.length() == 0 ? "" : " ").append(name).append("=").append(count));
        return answer + failure;
    }

    private static String greet(Object reference, String who) {
        if (reference instanceof Proto) {
            return ((Proto) reference).Greet(StringValue.of(who)).getValue();
        }
        if (reference instanceof GenericService) {
            return (String) ((GenericService) reference).$invoke("greet", new String[] {"java.lang.String"}, new Object[] {who});
        }
        return ((Plain) reference).greet(who);
    }

    private static String older(Object reference) {
        if (reference instanceof GenericService) {
            Object person = ((GenericService) reference).$invoke("older",
                    new String[] {"org.interop.Person", "int"}, new Object[] {new TreeMap<>(Map.of("name", "Ana", "age", 40)), 2});
            Map<?, ?> fields = (Map<?, ?>) person;
            return fields.get("name") + " " + fields.get("age");
        }
        Person person = ((Plain) reference).older(new Person("Ana", 40), 2);
        return person.getName() + " " + person.getAge();
    }
}
