// SPDX-License-Identifier: Apache-2.0

/// The variables in which programs for a service look for what opens it: what `import --preset` takes, and what is better
/// not in an environment.
package struct VariablePreset: Sendable {
    /// One variable.
    package struct Variable: Sendable {
        package let name: String
        package let description: String
        /// Nothing works without it.
        package var isNeeded = false
        /// Its value opens something; the others name or address.
        package var isSecret = true
    }

    package let name: String
    package let variables: [Variable]

    /// Every preset, in the order of help.
    package static let all = [
        VariablePreset(
            name: "openai",
            variables: [
                Variable(name: "OPENAI_API_KEY", description: "OpenAI API key", isNeeded: true),
                Variable(name: "OPENAI_ORG_ID", description: "OpenAI organization", isSecret: false),
                Variable(name: "OPENAI_PROJECT_ID", description: "OpenAI project", isSecret: false),
                Variable(name: "OPENAI_WEBHOOK_SECRET", description: "OpenAI webhook signing secret"),
            ]
        ),
        VariablePreset(
            name: "gemini",
            variables: [
                Variable(name: "GEMINI_API_KEY", description: "Gemini API key", isNeeded: true),
                Variable(name: "GOOGLE_API_KEY", description: "Google API key"),
                Variable(name: "GOOGLE_GEMINI_API_KEY", description: "Gemini API key under its longer name"),
            ]
        ),
        VariablePreset(
            name: "anthropic",
            variables: [
                Variable(name: "ANTHROPIC_API_KEY", description: "Anthropic API key", isNeeded: true),
                Variable(name: "ANTHROPIC_AUTH_TOKEN", description: "Anthropic bearer token"),
            ]
        ),
        VariablePreset(
            name: "supabase",
            variables: [
                Variable(name: "SUPABASE_URL", description: "Supabase project URL", isSecret: false),
                Variable(name: "SUPABASE_ANON_KEY", description: "Supabase anonymous key", isSecret: false),
                Variable(name: "SUPABASE_SERVICE_ROLE_KEY", description: "Supabase service role key", isNeeded: true),
                Variable(name: "SUPABASE_ACCESS_TOKEN", description: "Supabase access token of the command line"),
                Variable(name: "SUPABASE_DB_PASSWORD", description: "Supabase database password"),
                Variable(name: "SUPABASE_JWT_SECRET", description: "Supabase JWT secret"),
            ]
        ),
        VariablePreset(
            name: "github",
            variables: [
                Variable(name: "GITHUB_TOKEN", description: "GitHub token", isNeeded: true),
                Variable(name: "GH_TOKEN", description: "GitHub token of the command line"),
                Variable(name: "GHCR_TOKEN", description: "GitHub container registry token"),
            ]
        ),
        VariablePreset(
            name: "aws",
            variables: [
                Variable(name: "AWS_ACCESS_KEY_ID", description: "AWS access key", isNeeded: true, isSecret: false),
                Variable(name: "AWS_SECRET_ACCESS_KEY", description: "AWS secret access key", isNeeded: true),
                Variable(name: "AWS_SESSION_TOKEN", description: "AWS session token"),
            ]
        ),
    ]

    /// The names of all presets, for help and messages.
    package static let names = all.map(\.name).joined(separator: ", ")
}
