// SPDX-License-Identifier: Apache-2.0

/// `azurekeyvault:VAULT[/PREFIX]`: secrets of Azure Key Vault.
struct AzureSourceType: NamedServiceSourceType {
    let scheme = "azurekeyvault"
    let location = "VAULT[/PREFIX][?names=NAMES]"
    let ownKeys = ["domain", "endpoint"]
    let example = "azurekeyvault:my-vault, azurekeyvault:my-vault/billing-"
    let placeMarks = "-"
    let nameMarks = "-"
}
