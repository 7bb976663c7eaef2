// SPDX-License-Identifier: Apache-2.0

package org.interop;

import java.util.Scanner;

/**
 * Answers what the tests ask on standard input, a line each: "= answer", or
 * "! what went wrong". What is told unasked begins with "@".
 */
final class Console {
    interface Command {
        String run(String name, String rest) throws Exception;
    }

    private Console() {}

    /** Returns after "quit", or when there is nobody any more who asks. */
    static void serve(Command command) {
        say("= ready");
        Scanner lines = new Scanner(System.in, "UTF-8");
        while (lines.hasNextLine()) {
            String[] line = lines.nextLine().split(" ", 2);
            if (line[0].equals("quit")) {
                return;
            }
            try {
                say("= " + command.run(line[0], line.length > 1 ? line[1] : ""));
            } catch (Throwable e) {
                e.printStackTrace();
                say("! " + String.valueOf(e).replace('\n', ' '));
            }
        }
    }

    static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
